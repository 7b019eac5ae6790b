"""What every reconciler needs, in one place."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tidegate.engine.cache import Cache
from tidegate.engine.clock import Clock
from tidegate.engine.metrics import Metrics
from tidegate.engine.patch import merge_diff
from tidegate.engine.queue import Key
from tidegate.evidence.guards import GuardStreams
from tidegate.kube.api import Conflict, KubeApi, NotFound, Resource
from tidegate.kube.events import EventRecorder
from tidegate.kube.pod import PodSettings


class NotLeading(Exception):
    """This replica may not write: leadership was lost on the way."""


@dataclass
class Context:
    api: KubeApi
    cache: Cache
    clock: Clock
    metrics: Metrics
    streams: GuardStreams
    events: EventRecorder
    pod: PodSettings
    leading: Callable[[], bool]
    add: Callable[[Key], None]
    random: random.Random
    # When the operator began to lead and to collect evidence (monotonic seconds).
    led_since: float = 0.0
    term: int = 0
    # When the guard of a pod was first seen running, by pod uid (monotonic seconds).
    guard_seen: dict[str, float] = field(default_factory=dict)
    # When a gate that is halted now was halted (monotonic seconds), for the recovery time.
    suspended_at: dict[Key, float] = field(default_factory=dict)

    def must_lead(self) -> None:
        """Raise NotLeading unless writing is allowed now."""
        if not self.leading():
            raise NotLeading

    async def write_status(
        self, resource: Resource, obj: dict[str, Any], status: dict[str, Any]
    ) -> dict[str, Any]:
        """Patch `status` where it differs; the answer goes into the cache. Returns the object.

        Carries the resourceVersion: a second writer fails with Conflict, after which the cache has
        the newer object and the caller's key is tried again.
        """
        diff = merge_diff(obj.get("status") or {}, status)
        if not diff:
            return obj
        self.must_lead()
        meta = obj["metadata"]
        try:
            new = await self.api.merge_patch(
                resource,
                meta["name"],
                meta["namespace"],
                {"status": diff},
                resource_version=meta["resourceVersion"],
                subresource="status",
            )
        except Conflict:
            await self.refresh(resource, meta["namespace"], meta["name"])
            raise
        self.cache.apply(resource, new)
        return new

    async def refresh(self, resource: Resource, namespace: str, name: str) -> None:
        """Bring one object of the cache up to date."""
        try:
            self.cache.apply(resource, await self.api.get(resource, name, namespace))
        except NotFound:
            old = self.cache.get(resource, namespace, name)
            if old is not None:
                self.cache.remove(resource, old)
