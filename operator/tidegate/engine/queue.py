"""A keyed work queue with one heap for all times.

A key is worked on by one worker at a time; added again meanwhile, it runs once more afterwards.
Failures come back after a jittered backoff of their own.
"""

import asyncio
import heapq
import itertools
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from tidegate.kube.api import KubeError

log = logging.getLogger(__name__)

BACKOFF_FIRST = 0.2
BACKOFF_LAST = 10.0


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """What to reconcile: kind is gate, strategy or admission (name empty)."""

    kind: str
    namespace: str
    name: str = ""


# Returns seconds until the key is due again, or None.
Reconcile = Callable[[Key], Awaitable[float | None]]


@dataclass
class WorkQueue:
    """`run` works until cancelled; `pause` drops what is queued (leadership lost)."""

    reconcile: Reconcile
    clock: Callable[[], float]
    random: random.Random
    workers: int = 16
    _ready: deque[Key] = field(default_factory=deque)
    _queued: set[Key] = field(default_factory=set)
    _busy: set[Key] = field(default_factory=set)
    _again: set[Key] = field(default_factory=set)
    _heap: list[tuple[float, int, Key]] = field(default_factory=list)
    _due: dict[Key, float] = field(default_factory=dict)
    _failures: dict[Key, int] = field(default_factory=dict)
    _count: "itertools.count[int]" = field(default_factory=itertools.count)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _timer_wake: asyncio.Event = field(default_factory=asyncio.Event)
    enabled: bool = False

    def add(self, key: Key) -> None:
        if not self.enabled:
            return
        if key in self._busy:
            self._again.add(key)
        elif key not in self._queued:
            self._queued.add(key)
            self._ready.append(key)
            self._wake.set()

    def add_after(self, key: Key, seconds: float) -> None:
        """Due in `seconds`; an earlier time for the same key wins."""
        if not self.enabled:
            return
        if seconds <= 0:
            self.add(key)
            return
        at = self.clock() + seconds
        if self._due.get(key, float("inf")) <= at:
            return
        self._due[key] = at
        heapq.heappush(self._heap, (at, next(self._count), key))
        self._timer_wake.set()

    def pause(self) -> None:
        self.enabled = False
        self._ready.clear()
        self._queued.clear()
        self._again.clear()
        self._heap.clear()
        self._due.clear()
        self._failures.clear()

    def depth(self) -> int:
        return len(self._ready) + len(self._busy)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._timer())
            for _ in range(self.workers):
                group.create_task(self._worker())

    async def _timer(self) -> None:
        while True:
            self._timer_wake.clear()
            while self._heap and self._heap[0][0] <= self.clock():
                at, _, key = heapq.heappop(self._heap)
                # A key that was asked for earlier since has left this entry behind.
                if self._due.get(key) == at:
                    del self._due[key]
                    self.add(key)
            wait = self._heap[0][0] - self.clock() if self._heap else None
            try:
                await asyncio.wait_for(self._timer_wake.wait(), wait)
            except TimeoutError:
                continue

    async def _worker(self) -> None:
        while True:
            while not self._ready:
                self._wake.clear()
                await self._wake.wait()
            key = self._ready.popleft()
            self._queued.discard(key)
            self._busy.add(key)
            try:
                await self._one(key)
            finally:
                self._busy.discard(key)
                if key in self._again:
                    self._again.discard(key)
                    self.add(key)

    async def _one(self, key: Key) -> None:
        try:
            after = await self.reconcile(key)
        except asyncio.CancelledError:
            raise
        except Exception as error:
            failures = self._failures[key] = self._failures.get(key, 0) + 1
            delay = self._backoff(failures, error)
            level = logging.WARNING if isinstance(error, KubeError) else logging.ERROR
            # One traceback for each new kind of trouble, not one for each retry.
            log.log(
                level, "%s %s/%s failed (try %d, again in %.1f s): %s", key.kind, key.namespace,
                key.name, failures, delay, error,
                exc_info=error if failures == 1 and level == logging.ERROR else None,
            )  # fmt: skip
            self.add_after(key, delay)
            return
        self._failures.pop(key, None)
        if after is not None:
            self.add_after(key, max(after, 0.001))

    def _backoff(self, failures: int, error: Exception) -> float:
        ceiling = min(BACKOFF_LAST, BACKOFF_FIRST * 2.0 ** min(failures - 1, 10))
        asked = getattr(error, "retry_after", None) or 0.0
        return float(max(asked, self.random.uniform(ceiling / 2, ceiling)))
