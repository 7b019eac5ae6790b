"""kopf as the watch shell: login, settings and raw events; nothing else of it is used.

create/update/delete handlers, daemons, timers and indexes were each measured to break at thousands
of objects (ANCHORS.md); an event handler that puts the object into the cache does not.
"""

import logging
import random
from collections.abc import Callable, Iterator
from typing import Any

import kopf

from tidegate.api.meta import LABEL_STRATEGY
from tidegate.engine.engine import WATCHED
from tidegate.kube.api import Resource


class Backoffs:
    """Endless jittered pauses: an apiserver that is away is waited for, however long."""

    def __iter__(self) -> Iterator[float]:
        ceiling = 0.2
        while True:
            yield random.uniform(ceiling / 2, ceiling)  # noqa: S311 - jitter
            ceiling = min(2.0, ceiling * 2)


def configure(settings: kopf.OperatorSettings) -> None:
    """DESIGN.md section 6."""
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.peering.standalone = True
    settings.watching.server_timeout = 300
    settings.watching.client_timeout = 330
    settings.watching.connect_timeout = 10
    settings.watching.chunk_size = 500
    settings.watching.label_selectors["pods"] = LABEL_STRATEGY
    settings.networking.request_timeout = 10
    settings.networking.error_backoffs = Backoffs()
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)


def registry(
    *,
    login: Callable[[], kopf.AiohttpSession],
    on_event: Callable[[Resource, str | None, dict[str, Any]], None],
    on_startup: Callable[[], Any],
    on_cleanup: Callable[[], Any],
) -> kopf.OperatorRegistry:
    """A registry of its own, so that tests can run several operators in one process."""
    own = kopf.OperatorRegistry()

    @kopf.on.login(registry=own)
    async def _login(**_: Any) -> kopf.AiohttpSession:
        return login()

    @kopf.on.startup(registry=own)
    async def _startup(settings: kopf.OperatorSettings, **_: Any) -> None:
        configure(settings)
        await on_startup()

    @kopf.on.cleanup(registry=own)
    async def _cleanup(**_: Any) -> None:
        await on_cleanup()

    def watch(resource: Resource) -> None:
        @kopf.on.event(resource.group, resource.version, resource.plural, registry=own)
        async def _event(event: kopf.RawEvent, **_: Any) -> None:
            on_event(resource, event["type"], dict(event["object"]))

    for resource in WATCHED:
        watch(resource)
    return own
