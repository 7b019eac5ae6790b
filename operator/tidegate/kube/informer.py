"""List, then watch, for ever: what a guard knows of the API.

Nothing the network does ends it. Readers see `synced` (the first list is in) and `contact` (when
the API last said anything at all), and judge for themselves how old is too old.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from tidegate.kube.api import Gone, KubeApi, KubeError, Object, Resource

log = logging.getLogger(__name__)

BACKOFF_FIRST = 0.2
BACKOFF_LAST = 5.0
# A Retry-After is honoured up to here: a guard that hears nothing for longer halts for that alone.
PAUSE_MOST = 30.0
# A watch that ends sooner, without a word, was not served: an apiserver on its way out does that.
SERVED = 1.0


@dataclass
class Informer:
    """`on_replace` gets each full list, `on_change` each object with whether it still exists."""

    api: KubeApi
    resource: Resource
    clock: Callable[[], float]
    random: random.Random
    on_replace: Callable[[list[Object]], None]
    on_change: Callable[[Object, bool], None]
    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""
    watch_seconds: int = 300
    synced: bool = False
    contact: float = 0.0
    failures: int = 0
    # As of the last object seen, not of the last watch begun: a watch that breaks half-way must
    # not tell again what was told, or a gate would for a moment seem to be what it no longer is.
    _version: str = field(default="", init=False)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                if not self._version:
                    await self._list()
                if await self._watch():
                    self.failures = 0
                    continue
                trouble, wait = "the watch ended at once", 0.0
            except Gone as error:
                self._version = ""
                trouble, wait = str(error), 0.0
                if not self.failures:
                    # Old age: list again at once. Only if that doesn't help, slow down.
                    self.failures = 1
                    continue
            except KubeError as error:
                # What happened while we were cut off is told by the watch, if it is not too old.
                trouble, wait = str(error), error.retry_after or 0.0
            self.failures += 1
            pause = max(self._backoff(), min(wait, PAUSE_MOST))
            level = logging.WARNING if self.failures in (1, 10) else logging.DEBUG
            log.log(
                level, "%s: %s (try %d, again in %.1f s)", self.resource.plural, trouble,
                self.failures, pause,
            )  # fmt: skip
            await asyncio.sleep(pause)

    def _backoff(self) -> float:
        ceiling = min(BACKOFF_LAST, BACKOFF_FIRST * 2.0 ** min(self.failures - 1, 8))
        # Full jitter: a thousand guards must not come back to a new apiserver at once.
        return self.random.uniform(0.05, ceiling)

    async def _list(self) -> None:
        listed = await self.api.list(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
        )
        self.contact = self.clock()
        self.on_replace(listed.items)
        self.synced = True
        self._version = listed.resource_version

    async def _watch(self) -> bool:
        """Until the server ends it; whether it was served at all."""
        began = self.clock()
        served = False
        async for event in self.api.watch(
            self.resource,
            namespace=self.namespace,
            resource_version=self._version,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            timeout_seconds=self.watch_seconds,
        ):
            self.contact = self.clock()
            self.failures = 0
            served = True
            if event.type != "BOOKMARK":
                self.on_change(event.object, event.type != "DELETED")
            self._version = str(event.object["metadata"].get("resourceVersion", self._version))
        return served or self.clock() - began >= SERVED
