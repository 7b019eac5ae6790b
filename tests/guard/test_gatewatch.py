"""One gate's watch: when it trips, when it forgets, what it may learn from."""

import random
from typing import Any

import pytest
from fake_kube import gate as gate_object

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus
from tidegate.guard.gatewatch import GateWatch
from tidegate.guard.signals import Residual

SECOND = 1_000_000_000


def spec(**fields: Any) -> DriftGateSpec:
    return DriftGateSpec.model_validate(gate_object(**fields)["spec"])


def status(state: Any, allocation: int, sequence: int) -> DriftGateStatus:
    return DriftGateStatus(state=state, allocation_percent=allocation, sequence=sequence)


def drift(watch: GateWatch, family: str = "price", *, live: bool = True, x: float = 0.02) -> None:
    for _ in range(60):
        watch.feed(Residual(family, x, live), 0, 1000.0)


def healthy(watch: GateWatch, count: int, family: str = "price", *, live: bool = True) -> None:
    rng = random.Random(3)
    for _ in range(count):
        watch.feed(Residual(family, rng.gauss(0.0, 5e-4), live), 0, 1000.0)


def opened() -> GateWatch:
    watch = GateWatch("g", spec())
    watch.apply(status("Open", 100, 4))
    return watch


def test_a_trip_is_a_latch_with_its_time() -> None:
    watch = opened()
    healthy(watch, 500)
    assert not watch.tripped
    drift(watch)
    healthy(watch, 500)
    evidence = watch.evidence(0, ())
    assert evidence.tripped
    assert evidence.tripped_at == 1000.0
    assert evidence.sequence == 4


@pytest.mark.parametrize(
    ("after", "forgotten"),
    [
        (status("Suspended", 0, 5), True),
        (status("Recovering", 10, 5), True),
        (status("Recovering", 25, 5), False),
        (status("Open", 100, 5), False),
        (status("Stopped", 0, 5), False),
        (status("Suspended", 0, 4), False),  # not a new transition
    ],
)
def test_what_forgets_a_trip(after: DriftGateStatus, forgotten: bool) -> None:
    watch = opened()
    drift(watch)
    watch.apply(after)
    assert watch.tripped is not forgotten
    assert watch.evidence(0, ()).sequence == after.sequence


def test_while_suspended_only_what_needs_no_live_order_counts() -> None:
    watch = opened()
    watch.apply(status("Suspended", 0, 5))
    drift(watch)  # in-flight orders
    drift(watch, "latency", x=5.0)  # their acknowledgements
    assert not watch.evidence(0, ()).warned
    assert all(s.events == 0 for s in watch.evidence(0, ()).signals)
    drift(watch, "latency", live=False, x=5.0)
    evidence = watch.evidence(SECOND, ())
    assert evidence.warned
    assert not evidence.tripped
    assert not watch.evidence(6 * SECOND, ()).tripped


def test_a_trip_while_suspended_warns_for_clear_for_after_the_last() -> None:
    watch = opened()
    watch.apply(status("Suspended", 0, 5))
    # Exactly until a trip has reset the detector.
    for _ in range(200):
        watch.feed(Residual("market", 3.0, False), 0, 0.0)
        if watch._warned_until:
            break
    assert watch.evidence(4 * SECOND, ()).warned
    assert not watch.evidence(6 * SECOND, ()).warned


def test_every_sequence_of_a_ramp_has_its_own_proof() -> None:
    watch = opened()
    watch.apply(status("Recovering", 10, 5))
    healthy(watch, 200)
    proof = {s.family: s for s in watch.evidence(0, ()).signals}["price"]
    assert proof.recovery_p < 1e-3
    assert proof.recovery_events == 200
    watch.apply(status("Recovering", 10, 5))  # told again: nothing new
    assert {s.family: s for s in watch.evidence(0, ()).signals}["price"] == proof
    watch.apply(status("Recovering", 25, 6))
    fresh = {s.family: s for s in watch.evidence(0, ()).signals}["price"]
    assert (fresh.recovery_p, fresh.recovery_events) == (1.0, 0)
    assert fresh.events == 200, "evidence against it is kept through the ramp"


def learned(**fields: Any) -> GateWatch:
    signals = [{"family": "price", "toleranceBps": 5, "limitBps": 100}]
    return GateWatch(
        "g", spec(signals=signals, reference={"learned": {}}, detection={"referenceEvents": 100})
    )


def fit(watch: GateWatch, now: int = 0) -> bool:
    ((family, learner),) = watch.to_fit()
    return watch.fitted(family, learner.finish(), now)


def test_learning_completes_and_detects() -> None:
    watch = learned()
    assert not watch.calibrated
    healthy(watch, 99)
    assert watch.to_fit() == []
    healthy(watch, 1)
    assert fit(watch)
    assert watch.calibrated
    drift(watch)
    assert watch.tripped
    again = GateWatch("g", watch.spec, saved=watch.references)
    assert again.calibrated


def test_a_reference_beyond_the_limit_is_refused_and_learned_again() -> None:
    watch = learned()
    rng = random.Random(5)
    for _ in range(100):
        watch.feed(Residual("price", 0.015 + rng.gauss(0, 5e-4), True), 0, 0.0)
    assert not fit(watch, now=SECOND)
    assert not watch.calibrated
    assert [f.reason for f in watch.faults(2 * SECOND)] == ["ReferenceDrifted"]
    assert watch.faults(4 * SECOND) == ()
    healthy(watch, 100)
    assert fit(watch)


def test_nothing_is_learned_while_processes_start() -> None:
    watch = GateWatch("g", learned().spec, warm_up=3 * SECOND)
    healthy(watch, 100)
    assert watch.to_fit() == []
    for _ in range(100):
        watch.feed(Residual("price", 0.0, True), 3 * SECOND, 0.0)
    assert fit(watch)


def test_an_edit_keeps_the_trip() -> None:
    old = opened()
    drift(old)
    new = GateWatch("g", spec(detection={"falseAlarmsPerMillion": "1"}))
    new.inherit(old)
    new.apply(status("Open", 100, 4))
    assert new.tripped


def test_a_paper_strategy_owes_no_proof_of_live_families() -> None:
    watch = GateWatch("g", spec(), paper=True)
    watch.apply(status("Recovering", 10, 2))
    proofs = {s.family: s.recovery_p for s in watch.evidence(0, ()).signals}
    assert proofs == {"price": 0.0, "volume": 0.0, "latency": 1.0, "market": 1.0}


@pytest.mark.parametrize("rate", ["0", "0.0"])
def test_a_threshold_that_is_none_is_named(rate: str) -> None:
    with pytest.raises(ValueError, match="falseAlarmsPerMillion"):
        GateWatch("g", spec(detection={"falseAlarmsPerMillion": rate}))
