"""The keyed queue: one worker a key, nothing lost, backoff per key."""

import asyncio
import random
import time
from collections import Counter

import pytest

from tidegate.engine.queue import Key, WorkQueue
from tidegate.kube.api import TooManyRequests


def queue(reconcile: object, workers: int = 4) -> WorkQueue:
    made = WorkQueue(reconcile, time.monotonic, random.Random(1), workers)  # type: ignore[arg-type]
    made.enabled = True
    return made


async def drive(made: WorkQueue, seconds: float) -> None:
    task = asyncio.create_task(made.run())
    await asyncio.sleep(seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


A, B = Key("gate", "ns", "a"), Key("gate", "ns", "b")


async def test_a_key_is_never_worked_on_twice_at_once_and_runs_again_when_added_meanwhile() -> None:
    busy: Counter[Key] = Counter()
    runs: Counter[Key] = Counter()

    async def reconcile(key: Key) -> None:
        busy[key] += 1
        assert busy[key] == 1
        runs[key] += 1
        if runs[key] == 1:
            made.add(key)
            made.add(key)
        await asyncio.sleep(0.01)
        busy[key] -= 1

    made = queue(reconcile)
    for _ in range(5):
        made.add(A)
        made.add(B)
    await drive(made, 0.3)
    assert runs == {A: 2, B: 2}


async def test_a_failure_comes_back_and_does_not_stop_other_keys() -> None:
    seen: list[Key] = []

    async def reconcile(key: Key) -> None:
        seen.append(key)
        if key == A and seen.count(A) < 3:
            raise RuntimeError("no luck")

    made = queue(reconcile)
    made.add(A)
    made.add(B)
    await drive(made, 2.0)
    assert seen.count(B) == 1
    assert seen.count(A) == 3


async def test_retry_after_is_waited_for() -> None:
    at: list[float] = []

    async def reconcile(key: Key) -> None:
        at.append(time.monotonic())
        if len(at) == 1:
            raise TooManyRequests(429, "TooManyRequests", "slow down", retry_after=0.6)

    made = queue(reconcile)
    made.add(A)
    await drive(made, 1.5)
    assert len(at) == 2
    assert at[1] - at[0] >= 0.6


async def test_the_earliest_time_asked_for_wins() -> None:
    runs = 0

    async def reconcile(key: Key) -> None:
        nonlocal runs
        runs += 1

    made = queue(reconcile)
    made.add_after(A, 30)
    made.add_after(A, 0.05)
    made.add_after(A, 20)
    await drive(made, 0.5)
    assert runs == 1


async def test_a_paused_queue_drops_everything_and_takes_nothing() -> None:
    runs = 0

    async def reconcile(key: Key) -> None:
        nonlocal runs
        runs += 1

    made = queue(reconcile)
    made.add(A)
    made.add_after(B, 0.05)
    made.pause()
    made.add(A)
    await drive(made, 0.3)
    assert runs == 0


@pytest.mark.parametrize("failures", [1, 2, 5, 50, 5000])
def test_backoff_is_bounded(failures: int) -> None:
    async def reconcile(key: Key) -> None: ...

    delay = queue(reconcile)._backoff(failures, RuntimeError())
    assert 0.1 <= delay <= 10
