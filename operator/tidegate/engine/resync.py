"""Full lists: the first one makes the cache complete, later ones heal what the watches missed."""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from tidegate.api.meta import LABEL_STRATEGY
from tidegate.engine.cache import Cache
from tidegate.kube.api import PODS, KubeApi, KubeError, Resource

log = logging.getLogger(__name__)

EVERY = 300.0


@dataclass
class Resync:
    """`run` lists every resource at once, then every five minutes."""

    api: KubeApi
    cache: Cache
    resources: Iterable[Resource]
    random: random.Random
    on_ghost: Callable[[Resource, dict[str, Any]], None]
    on_done: Callable[[], None]

    async def run(self) -> None:
        failures = 0
        while True:
            try:
                for resource in self.resources:
                    await self._list(resource)
                failures = 0
                self.on_done()
                pause = self.random.uniform(0.9, 1.1) * EVERY
            except KubeError as error:
                failures += 1
                pause = self.random.uniform(0.5, 1.0) * min(30.0, 0.5 * 2.0 ** min(failures, 6))
                log.warning("full list failed, again in %.1f s: %s", pause, error)
            await asyncio.sleep(pause)

    async def _list(self, resource: Resource) -> None:
        selector = LABEL_STRATEGY if resource is PODS else ""
        listed = await self.api.list(resource, label_selector=selector)
        at = int(listed.resource_version or 0)
        for ghost in self.cache.replace(resource, listed.items, at):
            log.info(
                "%s %s/%s is gone without an event", resource.plural,
                ghost["metadata"].get("namespace"), ghost["metadata"]["name"],
            )  # fmt: skip
            self.on_ghost(resource, ghost)
