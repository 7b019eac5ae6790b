"""Leader election on a real apiserver: one leader, handed over, never two."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from tidegate.engine.clock import Clock
from tidegate.engine.leader import DURATION, Elector
from tidegate.kube.api import LEASES, KubeApi

NAMESPACE = "default"


@dataclass
class Candidate:
    elector: Elector
    events: list[tuple[float, str]] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None


@pytest.fixture
async def lease(real_api: KubeApi) -> AsyncIterator[str]:
    name = f"e2e-{uuid.uuid4().hex[:8]}"
    yield name
    with contextlib.suppress(Exception):
        await real_api.delete(LEASES, name, NAMESPACE)


def candidate(api: KubeApi, lease: str, identity: str) -> Candidate:
    clock = Clock()
    made: Candidate = Candidate(None)  # type: ignore[arg-type]
    made.elector = Elector(
        api=api,
        namespace=NAMESPACE,
        name=lease,
        identity=identity,
        clock=clock.monotonic,
        now=clock.now,
        on_started=lambda: made.events.append((time.monotonic(), "started")),
        on_stopped=lambda: made.events.append((time.monotonic(), "stopped")),
    )
    return made


async def until(check: object, timeout: float) -> None:
    async with asyncio.timeout(timeout):
        while not check():  # type: ignore[operator]  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_one_of_two_leads_and_release_hands_over_at_once(
    real_api: KubeApi, lease: str
) -> None:
    a, b = candidate(real_api, lease, "a"), candidate(real_api, lease, "b")
    tasks = [asyncio.create_task(x.elector.run()) for x in (a, b)]
    await until(lambda: a.elector.leading() or b.elector.leading(), 5)
    await asyncio.sleep(1.5)
    assert a.elector.leading() != b.elector.leading()
    first, other = (0, b) if a.elector.leading() else (1, a)
    tasks[first].cancel()
    await asyncio.gather(tasks[first], return_exceptions=True)
    await until(other.elector.leading, DURATION - 1)
    tasks[1 - first].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert other.elector.transitions == 2


async def test_a_leader_that_is_cut_off_stops_before_its_successor_starts(
    real_api: KubeApi, lease: str
) -> None:
    a, b = candidate(real_api, lease, "a"), candidate(real_api, lease, "b")
    first = asyncio.create_task(a.elector.run())
    await until(a.elector.leading, 5)
    second = asyncio.create_task(b.elector.run())
    await asyncio.sleep(1)

    async def hang(*_: object, **__: object) -> None:
        await asyncio.sleep(60)

    class CutOff:
        get = staticmethod(hang)
        merge_patch = staticmethod(hang)
        create = staticmethod(hang)

    a.elector.api = CutOff()  # type: ignore[assignment]
    while not b.elector.leading():
        assert not (a.elector.leading() and b.elector.leading())
        await asyncio.sleep(0.01)
    stopped = next(at for at, what in a.events if what == "stopped")
    started = next(at for at, what in b.events if what == "started")
    assert stopped < started
    for task in (first, second):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
