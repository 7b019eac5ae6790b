"""List, then watch, for ever: what a guard knows of the API.

Nothing the network does ends it. Readers see `synced` (the first list is in) and `contact` (when
the API last said anything at all), and judge for themselves how old is too old.
"""

import asyncio
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass

from tidegate.kube.api import Gone, KubeApi, KubeError, Object, Resource

log = logging.getLogger(__name__)

BACKOFF_FIRST = 0.2
BACKOFF_LAST = 5.0


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

    async def run(self) -> None:
        """Until cancelled."""
        version = ""
        while True:
            try:
                if not version:
                    version = await self._list()
                version = await self._watch(version)
                self.failures = 0
            except Gone:
                version = ""
            except KubeError as error:
                self.failures += 1
                # What happened while we were cut off is told by the watch, if it is not too old.
                pause = self._backoff()
                level = logging.WARNING if self.failures in (1, 10) else logging.DEBUG
                log.log(
                    level, "%s: %s (try %d, again in %.1f s)", self.resource.plural, error,
                    self.failures, pause,
                )  # fmt: skip
                await asyncio.sleep(pause)

    def _backoff(self) -> float:
        ceiling = min(BACKOFF_LAST, BACKOFF_FIRST * 2.0 ** min(self.failures - 1, 8))
        # Full jitter: a thousand guards must not come back to a new apiserver at once.
        return self.random.uniform(0.05, ceiling)

    async def _list(self) -> str:
        listed = await self.api.list(
            self.resource,
            namespace=self.namespace,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
        )
        self.contact = self.clock()
        self.on_replace(listed.items)
        self.synced = True
        return listed.resource_version

    async def _watch(self, version: str) -> str:
        async for event in self.api.watch(
            self.resource,
            namespace=self.namespace,
            resource_version=version,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
            timeout_seconds=self.watch_seconds,
        ):
            self.contact = self.clock()
            self.failures = 0
            version = str(event.object["metadata"].get("resourceVersion", version))
            if event.type != "BOOKMARK":
                self.on_change(event.object, event.type != "DELETED")
        return version
