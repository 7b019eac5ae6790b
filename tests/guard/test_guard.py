"""The guard on real sockets, files and HTTP; only its KubeApi is a fake."""

import asyncio
import json
import random
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from fake_kube import DRIFTGATES, LEASES, STRATEGIES, FakeKubeApi, gate, lease, strategy
from guard_desk import eventually

from tidegate.api.permit import Permit
from tidegate.api.wire import (
    Ack,
    Done,
    Evidence,
    Fill,
    Order,
    Probe,
    Quote,
    Report,
    Step,
    decode_evidence,
    encode_reports,
)
from tidegate.guard.config import GuardConfig
from tidegate.guard.main import run_guard
from tidegate.runtime.permit import PermitReader


@dataclass
class Pod:
    api: FakeKubeApi
    run_dir: Path
    port: int
    beating: bool = True
    orders: int = 0

    def __post_init__(self) -> None:
        self.reader = PermitReader(self.run_dir / "permit")
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)

    @property
    def permit(self) -> Permit:
        return self.reader.read()

    def open(self) -> bool:
        return self.permit.allocation > 0

    def halted(self) -> bool:
        return self.permit.allocation == 0

    async def send(self, *reports: Report) -> None:
        await self.raw(encode_reports(list(reports)))

    async def raw(self, datagram: bytes) -> None:
        while True:
            try:
                self.socket.sendto(datagram, str(self.run_dir / "reports.sock"))
            except BlockingIOError:  # ten datagrams fill the queue: let the guard read them
                await asyncio.sleep(0)
            else:
                return

    async def alive(self) -> None:
        now = time.monotonic_ns()
        await self.send(
            Step(1, now, 1000),
            Quote("BTC", 100.0, 100.02, 0.02, now),
            Probe(50_000_000, 50_000_000, now),
        )

    async def pair(self, slippage: float, side: Any = "buy") -> None:
        """One order on both books, live worse by `slippage`."""
        self.orders += 1
        key, sign = f"k{self.orders}", 1 if side == "buy" else -1
        for book, price in (("paper", 100.0), ("live", 100.0 * (1 + sign * slippage))):
            await self.send(
                Order(key, book, "BTC", side, 1.0, 100.0, 0),  # type: ignore[arg-type]
                Ack(key, book, 50_000_000, 0),  # type: ignore[arg-type]
                Fill(key, book, f"{book}{key}", price, 0.9992, 0),  # type: ignore[arg-type]
                Done(key, book, "expired", 0, 0.9992),  # type: ignore[arg-type]
            )

    async def evidence(self) -> Evidence:
        return decode_evidence((await self.get("/v1/evidence?once=1")).encode())

    async def get(self, path: str) -> str:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
        ):
            return await answer.text()

    async def beat(self) -> None:
        for number in range(10**9):
            if self.beating:
                self.api.put(LEASES, lease(number))
            await asyncio.sleep(0.05)

    async def live(self) -> None:
        while True:
            await self.alive()
            await asyncio.sleep(0.1)


@asynccontextmanager
async def running(run_dir: Path, api: FakeKubeApi, *, paper: bool = False) -> AsyncIterator[Pod]:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    stop = asyncio.Event()
    config = GuardConfig(
        "s1", "ns", "op", run_dir, paper=paper, host="127.0.0.1", port=0, warm_up=0.0
    )
    guard = asyncio.create_task(run_guard(config, api, stop=stop, on_ready=ready.set_result))
    await asyncio.wait((guard, ready), return_when=asyncio.FIRST_COMPLETED, timeout=5)
    if guard.done():
        await guard
    pod = Pod(api, run_dir, await ready)
    beat = asyncio.create_task(pod.beat())
    try:
        yield pod
    finally:
        beat.cancel()
        with suppress(asyncio.CancelledError):
            await beat
        stop.set()
        await asyncio.wait_for(guard, 5)
        pod.socket.close()


@pytest.fixture
async def pod(run_dir: Path) -> AsyncIterator[Pod]:
    """A guard of an open gate, with the operator's heart beating and its strategy alive."""
    api = FakeKubeApi()
    api.put(STRATEGIES, strategy())
    api.put(DRIFTGATES, gate())
    async with running(run_dir, api) as made:
        live = asyncio.create_task(made.live())
        await eventually(made.open)
        yield made
        live.cancel()
        with suppress(asyncio.CancelledError):
            await live


async def test_drift_halts_without_the_operator_and_within_milliseconds(pod: Pod) -> None:
    for index in range(50):
        await pod.pair(0.0, "buy" if index % 2 else "sell")
    await eventually(lambda: pod.open())
    pod.api.cut()
    events = 0
    began = time.perf_counter()
    while pod.open():
        await pod.pair(0.01, "buy" if events % 2 else "sell")
        events += 1
        assert events < 200
        sent = time.perf_counter()
        await asyncio.sleep(0)
    print(f"\n1%: {events} pairs, last one -> halted {(time.perf_counter() - sent) * 1e6:.0f} us")
    assert time.perf_counter() - began < 2
    (found,) = (await pod.evidence()).gates
    assert found.tripped


async def test_a_gate_change_reaches_the_permit(pod: Pod) -> None:
    assert pod.permit.allocation == 100
    pod.api.put(DRIFTGATES, gate(state="Recovering", allocation=25, sequence=2))
    await eventually(lambda: pod.permit.allocation == 25)
    assert (await pod.evidence()).gates[0].sequence == 2
    pod.api.put(DRIFTGATES, gate(emergencyStop={"reason": "r", "by": "b"}, sequence=2))
    await eventually(pod.halted)


async def test_the_least_of_two_gates_counts(pod: Pod) -> None:
    pod.api.put(DRIFTGATES, gate("g2", state="Recovering", allocation=10))
    await eventually(lambda: pod.permit.allocation == 10)
    pod.api.put(DRIFTGATES, gate("g3", strategies={"matchLabels": {"desk": "other"}}, allocation=0))
    await asyncio.sleep(0.3)
    assert pod.permit.allocation == 10
    assert (await pod.evidence()).permit.gates == ("g1", "g2")


async def test_a_lost_operator_halts_after_the_ttl_and_a_single_late_renewal_opens_nothing(
    pod: Pod,
) -> None:
    pod.api.put(DRIFTGATES, gate(permitTTL="3s"))
    pod.beating = False
    began = time.monotonic()
    await eventually(pod.halted, within=8)
    assert 2.0 < time.monotonic() - began < 4.5
    # The permit ends by its own deadline; the guard says why at its next refresh.
    await asyncio.sleep(0.3)
    assert (await pod.evidence()).permit.reason == "ControlPlaneLost"
    pod.api.put(LEASES, lease(98))
    await asyncio.sleep(0.5)
    assert pod.halted(), "the renewal may be as old as the silence"
    pod.api.put(LEASES, lease(99))
    await eventually(pod.open)


async def test_a_cut_off_guard_goes_on_until_the_ttl_then_recovers(pod: Pod) -> None:
    pod.api.put(DRIFTGATES, gate(permitTTL="3s"))
    await eventually(lambda: pod.permit.allocation == 100)
    pod.api.cut()
    await asyncio.sleep(1.0)
    assert pod.open()
    await eventually(pod.halted, within=8)
    pod.api.down = False
    await eventually(pod.open, within=10)


async def test_a_deleted_gate_halts_until_the_operator_says_that_it_released(pod: Pod) -> None:
    pod.api.remove(DRIFTGATES, "g1")
    await eventually(pod.halted)
    assert "GateDeleted" in (await pod.evidence()).permit.reason
    released = {"gate": "g1", "onDelete": "Release"}
    pod.api.put(STRATEGIES, strategy(orphanedBy=[released]))
    await eventually(pod.open)


async def test_a_gate_that_cannot_be_read_halts(pod: Pod) -> None:
    broken = gate("g9")
    broken["spec"]["signals"] = [{"family": "astrology", "toleranceBps": 1, "limitBps": 2}]
    pod.api.put(DRIFTGATES, broken)
    await eventually(pod.halted)
    found = next(g for g in (await pod.evidence()).gates if g.gate == "g9")
    assert [f.reason for f in found.faults] == ["GateUnreadable"]
    pod.api.remove(DRIFTGATES, "g9")
    assert pod.halted(), "it governed as far as anybody could tell"


async def test_silence_is_a_fault_and_halts(run_dir: Path) -> None:
    api = FakeKubeApi()
    api.put(STRATEGIES, strategy())
    api.put(DRIFTGATES, gate(staleAfter="500ms"))
    async with running(run_dir, api) as pod:
        await pod.alive()
        await eventually(pod.open)
        await eventually(pod.halted, within=3)
        (found,) = (await pod.evidence()).gates
        assert {f.reason for f in found.faults} == {"QuotesStale", "ProbesStale", "StepsStale"}
        await pod.alive()
        await eventually(pod.open)
        api.put(DRIFTGATES, gate(staleAfter="500ms", onFault={"stale": "Hold"}))
        await asyncio.sleep(1.0)
        assert pod.open()
        assert (await pod.evidence()).gates[0].faults


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (Quote("BTC", 101.0, 100.0, 0.02, 0), "Crossed"),
        (Quote("BTC", -1.0, 100.0, 0.02, 0), "NotPositive"),
        (Probe(-1, 50, 0), "NegativeLatency"),
        (Fill("k", "live", "t", 0.0, 1.0, 0), "NotPositive"),
    ],
)
async def test_bad_data_is_a_fault_and_halts(pod: Pod, report: Report, reason: str) -> None:
    await pod.send(report)
    await eventually(pod.halted)
    assert [f.reason for f in (await pod.evidence()).gates[0].faults] == [reason]
    assert "EvidenceInvalid" in (await pod.evidence()).permit.reason
    if reason == "Crossed":
        await eventually(pod.open, within=4)


async def test_garbage_never_raises_and_never_opens(run_dir: Path) -> None:
    api = FakeKubeApi()
    api.put(STRATEGIES, strategy())
    api.put(DRIFTGATES, gate(state="Suspended", allocation=0))
    rng = random.Random(11)
    whole = encode_reports([Order("k", "live", "B", "buy", 1.0, 1.0, 0), Step(1, 2, 3)])
    async with running(run_dir, api) as pod:
        for index in range(3000):
            broken = bytearray(whole)
            for _ in range(rng.randrange(1, 6)):
                broken[rng.randrange(len(broken))] = rng.randrange(256)
            await pod.raw(
                rng.choice([bytes(broken), rng.randbytes(rng.randrange(200)), b"[" * 5000])
            )
            if index % 5 == 0:
                await asyncio.sleep(0)
                assert pod.halted()
        await asyncio.sleep(0.3)
        assert "Undecodable" in {f.reason for f in (await pod.evidence()).gates[0].faults}
        assert pod.halted()
        assert (await pod.get("/healthz")) == "ok\n"


async def test_the_stream_tells_changes_at_once_and_the_rest_twice_a_second(pod: Pod) -> None:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{pod.port}/v1/evidence") as answer,
    ):
        first = decode_evidence(await answer.content.readline())
        second = decode_evidence(await answer.content.readline())
        assert second.seq > first.seq
        assert second.boot == first.boot
        pod.api.put(DRIFTGATES, gate(state="Suspended", allocation=0, sequence=2))
        began = time.perf_counter()
        while True:
            line = decode_evidence(await answer.content.readline())
            if line.permit.state == "Halted":
                break
        print(f"\ngate change -> evidence line {(time.perf_counter() - began) * 1e3:.1f} ms")
        assert time.perf_counter() - began < 0.4
        assert line.gates[0].sequence == 2


async def test_without_api_it_is_ready_and_halted(run_dir: Path) -> None:
    api = FakeKubeApi()
    api.down = True
    async with running(run_dir, api) as pod:
        assert (await pod.get("/readyz")) == "ok\n"
        assert pod.halted()
        assert (await pod.evidence()).permit.reason == "NotSynced"


async def test_the_end_halts_at_once(run_dir: Path) -> None:
    api = FakeKubeApi()
    api.put(STRATEGIES, strategy())
    api.put(DRIFTGATES, gate())
    async with running(run_dir, api) as pod:
        await pod.alive()
        await eventually(pod.open)
        reader = pod.reader
    assert reader.read().allocation == 0
    assert not (run_dir / "reports.sock").exists()


async def test_a_learned_reference_outlives_the_guard(run_dir: Path) -> None:
    api = FakeKubeApi()
    api.put(STRATEGIES, strategy())
    fields: dict[str, Any] = {"reference": {"learned": {}}, "detection": {"referenceEvents": 100}}
    api.put(DRIFTGATES, gate(**fields))
    rng = random.Random(1)
    async with running(run_dir, api) as pod:
        await pod.alive()
        await eventually(pod.open)
        assert pod.permit.allocation == 10, "the first step, until calibrated"
        for _ in range(110):
            await pod.pair(rng.gauss(0, 5e-4))
            await pod.alive()
            await asyncio.sleep(0.001)
        await eventually(lambda: pod.permit.allocation == 100)
    kept = json.loads((run_dir / "reference.json").read_text())
    assert set(kept["g1"]["families"]) == {"price", "volume", "latency", "market"}
    async with running(run_dir, api) as pod:
        await opened_again(pod)
        assert pod.permit.allocation == 100
    (run_dir / "reference.json").write_text('{"g1": {"digest": 3, "families": "none"}')
    async with running(run_dir, api) as pod:
        await opened_again(pod)
        assert pod.permit.allocation == 10


async def opened_again(pod: Pod) -> None:
    """A guard that was restarted says so for some seconds, halted, and opens then."""
    await pod.alive()
    await eventually(lambda: pod.permit.written > 0)
    found = (await pod.evidence()).gates
    assert not pod.open()
    assert not found or "GuardRestarted" in {f.reason for f in found[0].faults}
    async with asyncio.timeout(10):
        while not pod.open():
            await pod.alive()
            await asyncio.sleep(0.1)


async def test_a_paper_strategy_is_watched_but_never_permitted(run_dir: Path) -> None:
    api = FakeKubeApi()
    api.put(STRATEGIES, strategy())
    api.put(DRIFTGATES, gate())
    async with running(run_dir, api, paper=True) as pod:
        await pod.alive()
        await asyncio.sleep(0.3)
        evidence = await pod.evidence()
        assert evidence.permit.reason == "PaperMode"
        assert evidence.gates[0].calibrated
        assert pod.halted()
