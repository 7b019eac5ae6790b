"""Evidence streams over real HTTP on loopback: fresh, broken, lying."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web

from tidegate.api.wire import EVIDENCE_PATH, Evidence, GateEvidence, PermitEvidence, encode_evidence
from tidegate.evidence import guards
from tidegate.evidence.guards import GuardStreams, Target, urgent

TARGET = Target("uid-1", "ns", "s", "127.0.0.1")


def evidence(seq: int = 1, *, strategy: str = "s", tripped: bool = False) -> Evidence:
    gate = GateEvidence(gate="g", sequence=1, calibrated=True, tripped=tripped)
    permit = PermitEvidence(state="Active", allocation_percent=100)
    return Evidence(strategy, "boot", seq, permit, gates=(gate,))


@pytest.fixture
async def streams(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[GuardStreams, list[int]]]:
    changes: list[int] = []
    async with aiohttp.ClientSession() as session:
        made = GuardStreams(
            session, time.monotonic, random.Random(1), lambda _, e: changes.append(e.seq)
        )
        yield made, changes
        await made.close()


async def guard(monkeypatch: pytest.MonkeyPatch, body: list[bytes]) -> web.AppRunner:
    """A guard that answers each connection with the next body."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(body.pop(0) if body else b"")
        await asyncio.sleep(0.05)
        return response

    app = web.Application()
    app.router.add_get(EVIDENCE_PATH, handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setattr(guards, "GUARD_PORT", runner.addresses[0][1])
    return runner


async def until(check: Callable[[], object], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_lines_are_kept_and_only_changes_are_announced(
    monkeypatch: pytest.MonkeyPatch, streams: tuple[GuardStreams, list[int]]
) -> None:
    made, changes = streams
    lines = [encode_evidence(evidence(n, tripped=n >= 3)) for n in (1, 2, 3, 4)]
    runner = await guard(monkeypatch, [b"".join(lines)])
    made.aim([TARGET])
    await until(lambda: made.latest.get("uid-1") and made.latest["uid-1"].evidence.seq == 4)
    assert changes == [1, 3]
    await runner.cleanup()


@pytest.mark.parametrize(
    "bad", [b"garbage\n", b"\xff\xfe\n", encode_evidence(evidence(9, strategy="other"))]
)
async def test_a_line_that_can_t_be_trusted_is_dropped_and_the_stream_read_anew(
    monkeypatch: pytest.MonkeyPatch, streams: tuple[GuardStreams, list[int]], bad: bytes
) -> None:
    made, changes = streams
    runner = await guard(monkeypatch, [bad, encode_evidence(evidence(2))])
    made.aim([TARGET])
    await until(lambda: changes)
    assert changes == [2]
    await runner.cleanup()


async def test_a_target_that_is_gone_is_forgotten(
    monkeypatch: pytest.MonkeyPatch, streams: tuple[GuardStreams, list[int]]
) -> None:
    made, changes = streams
    runner = await guard(monkeypatch, [encode_evidence(evidence())])
    made.aim([TARGET])
    await until(lambda: changes)
    made.aim([])
    assert made.latest == {}
    await runner.cleanup()


def test_scores_and_counters_alone_are_not_urgent() -> None:
    assert urgent(None, evidence())
    assert not urgent(evidence(1), evidence(2))
    assert urgent(evidence(1), evidence(2, tripped=True))
