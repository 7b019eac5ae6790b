"""A FAKE KubeApi in memory, of what a guard uses: list and watch. Nothing else is pretended."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any, Literal

from tidegate.kube.api import (
    DRIFTGATES,
    LEASES,
    STRATEGIES,
    ListResult,
    Object,
    Resource,
    Unavailable,
    WatchEvent,
)

EventType = Literal["ADDED", "MODIFIED", "DELETED"]


class FakeKubeApi:
    """`put` and `remove` objects; watchers are told at once. `down` makes every call fail."""

    def __init__(self) -> None:
        self.down = False
        self._version = itertools.count(1)
        self._objects: dict[tuple[Resource, str], Object] = {}
        self._watchers: list[tuple[Resource, asyncio.Queue[WatchEvent | None]]] = []

    def put(self, resource: Resource, item: Object) -> None:
        key = (resource, item["metadata"]["name"])
        kind: EventType = "MODIFIED" if key in self._objects else "ADDED"
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": self._next()}}
        self._objects[key] = item
        self._tell(resource, WatchEvent(kind, item))

    def remove(self, resource: Resource, name: str) -> None:
        item = self._objects.pop((resource, name))
        self._tell(resource, WatchEvent("DELETED", item))

    def cut(self) -> None:
        """End every watch and refuse all calls until `down` is False again."""
        self.down = True
        for _, queue in self._watchers:
            queue.put_nowait(None)

    def _next(self) -> str:
        return str(next(self._version))

    def _tell(self, resource: Resource, event: WatchEvent) -> None:
        for wanted, queue in self._watchers:
            if wanted == resource:
                queue.put_nowait(event)

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> ListResult:
        if self.down:
            raise Unavailable(503, "Down", "the fake is down")
        items = [o for (r, _), o in self._objects.items() if r == resource]
        return ListResult(items, self._next())

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
    ) -> AsyncIterator[WatchEvent]:
        if self.down:
            raise Unavailable(503, "Down", "the fake is down")
        queue: asyncio.Queue[WatchEvent | None] = asyncio.Queue()
        # What changed since the list: the fake keeps no history, so it tells all there is.
        for (known, _), item in self._objects.items():
            if known == resource and int(item["metadata"]["resourceVersion"]) > int(
                resource_version
            ):
                queue.put_nowait(WatchEvent("MODIFIED", item))
        entry = (resource, queue)
        self._watchers.append(entry)
        try:
            while (event := await queue.get()) is not None:
                yield event
            raise Unavailable(503, "Cut", "the fake cut the watch")
        finally:
            self._watchers.remove(entry)

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        raise NotImplementedError

    async def create(
        self, resource: Resource, body: Object, namespace: str | None = None
    ) -> Object:
        raise AssertionError("a guard never writes")

    async def merge_patch(self, *args: Any, **kwargs: Any) -> Object:
        raise AssertionError("a guard never writes")

    async def delete(self, *args: Any, **kwargs: Any) -> None:
        raise AssertionError("a guard never writes")


DECLARED = {
    "declared": {
        "price": {"scaleBps": "6"},
        "volume": {"scaleBps": "15", "centerBps": "-8"},
        # The client's own scheduling is in it: a loaded test machine adds some percent.
        "latency": {"scaleBps": "2000", "centerBps": "300"},
        "market": {"scaleBps": "1000"},
    }
}


def strategy(name: str = "s1", **status: Any) -> Object:
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": {"desk": "a"}},
        "spec": {"mode": "Live"},
        "status": status,
    }


def gate(
    name: str = "g1",
    *,
    state: str | None = "Open",
    allocation: int = 100,
    sequence: int = 1,
    annotations: dict[str, str] | None = None,
    **spec: Any,
) -> Object:
    status = {"state": state, "allocationPercent": allocation, "sequence": sequence}
    wide = [
        {"family": "price", "toleranceBps": 5, "limitBps": 100},
        {"family": "volume", "toleranceBps": 50, "limitBps": 500},
        {"family": "latency", "toleranceBps": 3000, "limitBps": 9000},
        {"family": "market", "toleranceBps": 1000, "limitBps": 5000},
    ]
    return {
        "metadata": {"name": name, "namespace": "ns", "annotations": annotations or {}},
        "spec": {
            "strategies": {"matchLabels": {"desk": "a"}},
            "signals": wide,
            "reference": DECLARED,
            **spec,
        },
        "status": status if state is not None else {},
    }


def lease(number: int) -> Object:
    return {
        "metadata": {"name": "tidegate-heartbeat", "namespace": "op"},
        "spec": {"holderIdentity": "op-0", "renewTime": f"2026-01-01T00:00:{number:02d}Z"},
    }


__all__ = ["DRIFTGATES", "LEASES", "STRATEGIES", "FakeKubeApi", "gate", "lease", "strategy"]
