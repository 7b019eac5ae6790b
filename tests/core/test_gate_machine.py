"""What holds for the whole machine, whatever is specified and whatever is seen."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.api.driftgate import (
    Approval,
    Detection,
    DriftGateSpec,
    DriftGateStatus,
    EmergencyStop,
    Learned,
    OnFaultSpec,
    Override,
    OverrideStatus,
    Recovery,
    Reference,
    Signal,
    SignalStatus,
)
from tidegate.api.wire import Fault, GateEvidence, SignalEvidence
from tidegate.core.gate import Decision, Observation, StrategyEvidence, decide

from .gate_builders import DECLARED, MARKET, NOW, PRICE

# Enough for the paths through the machine; the CI of a change to it may raise this.
EXAMPLES = settings(max_examples=150, deadline=None)
ACTIONS = st.sampled_from(["Suspend", "Hold", "Open"])
STATES = st.sampled_from([None, "Calibrating", "Open", "Suspended", "Recovering", "Stopped"])
WORDS = st.text(max_size=12)
WHO = st.text(min_size=1, max_size=12)
TIMES = st.one_of(
    st.datetimes(timezones=st.sampled_from([UTC, None])),
    st.integers(-200_000, 200_000).map(lambda s: NOW + timedelta(seconds=s)),
)
STORED_TIMES = st.datetimes(datetime(1970, 1, 1), timezones=st.sampled_from([UTC, None]))
NUMBERS = st.one_of(
    st.floats(),
    st.sampled_from([0.0, 1e-4, 0.01, 0.5, 1.0, 3.0, 1e9, math.nan, math.inf]),
)
FAMILIES = ["price", "volume", "latency", "market"]


def overrides(expires: st.SearchStrategy[datetime]) -> st.SearchStrategy[Override]:
    return st.builds(
        Override,
        state=st.sampled_from(["Open", "Suspended"]),
        reason=WHO,
        by=WHO,
        expires_at=expires,
    )


@st.composite
def specs(draw: st.DrawFn) -> DriftGateSpec:
    """Mostly such as a person would write; steps as no apiserver would let them."""
    steps = st.one_of(
        st.sampled_from([(10, 25, 50, 100), (100,), (50, 100)]),
        st.lists(st.integers(1, 100), min_size=1, max_size=4).map(tuple),
    )
    return DriftGateSpec(
        signals=draw(st.sampled_from([(PRICE,), (MARKET,), (PRICE, MARKET)])),
        reference=draw(st.sampled_from([DECLARED, Reference(learned=Learned()), Reference()])),
        detection=Detection(mode=draw(st.sampled_from(["Enforce", "Enforce", "Observe"]))),
        on_fault=OnFaultSpec(no_data=draw(ACTIONS), stale=draw(ACTIONS), invalid=draw(ACTIONS)),
        stale_after=draw(st.sampled_from(["500ms", "2s", "1h"])),
        recovery=Recovery(
            mode=draw(st.sampled_from(["Auto", "Auto", "RequireApproval"])),
            clear_for=draw(st.sampled_from(["0s", "100ms", "1s", "5s"])),
            steps=draw(steps),
            dwell=draw(st.sampled_from(["0s", "100ms", "1s", "5s"])),
            max_per_day=draw(st.integers(0, 3)),
        ),
        approval=draw(st.none() | st.builds(Approval, sequence=st.integers(1, 12), by=WHO)),
        override=draw(st.none() | st.none() | overrides(TIMES)),
        emergency_stop=draw(st.none() | st.none() | st.builds(EmergencyStop, reason=WHO, by=WHO)),
    )


@st.composite
def evidences(draw: st.DrawFn, sequence: int) -> GateEvidence:
    """Healthy more often than not, or no run would ever get anywhere."""
    healthy = draw(st.integers(0, 3)) > 0
    signals = tuple(
        SignalEvidence(
            family,
            score=0.1 if healthy else draw(NUMBERS),
            estimate_bps=None if healthy else draw(st.none() | NUMBERS),
            low_bps=None if healthy else draw(st.none() | NUMBERS),
            high_bps=None if healthy else draw(st.none() | NUMBERS),
            recovery_p=1e-4 if healthy else draw(NUMBERS),
        )
        for family in FAMILIES
        if healthy or draw(st.booleans())
    )
    fault = st.builds(
        Fault, kind=st.sampled_from(["noData", "stale", "invalid"]), reason=WORDS, message=WORDS
    )
    return GateEvidence(
        gate="g",
        sequence=sequence if healthy else sequence - draw(st.integers(-1, 2)),
        calibrated=healthy or draw(st.booleans()),
        score=0.1 if healthy else draw(NUMBERS),
        warned=not healthy and draw(st.booleans()),
        tripped=not healthy and draw(st.booleans()),
        faults=() if healthy else tuple(draw(st.lists(fault, max_size=2))),
        signals=signals,
        tripped_at=None if healthy else draw(st.none() | NUMBERS),
    )


@st.composite
def observations(draw: st.DrawFn, sequence: int) -> Observation:
    found = []
    for name in draw(st.sampled_from([(), ("a",), ("a",), ("a", "b")])):
        normal = draw(st.integers(0, 4)) > 0
        found.append(
            StrategyEvidence(
                strategy=name,
                connected=normal or draw(st.booleans()),
                age=0.1 if normal else draw(st.none() | NUMBERS),
                pod_age=60.0 if normal else draw(NUMBERS),
                evidence=draw(evidences(sequence)) if normal or draw(st.booleans()) else None,
            )
        )
    observing_for = draw(st.sampled_from([60.0, 60.0, 60.0, 1.0]))
    return Observation(tuple(found), len(found) + draw(st.integers(0, 1)), observing_for)


statuses = st.builds(
    DriftGateStatus,
    state=STATES,
    allocation_percent=st.sampled_from([0, 10, 37, 100]),
    sequence=st.integers(-1, 12),
    reason=WORDS,
    message=WORDS,
    last_transition_time=st.none() | STORED_TIMES,
    clear_since=st.none() | STORED_TIMES,
    latched=st.booleans(),
    recoveries_today=st.integers(0, 4),
    recovery_day=st.sampled_from(["", "2026-03-14", "yesterday"]),
    override=st.none()
    | st.builds(
        OverrideStatus,
        digest=st.sampled_from(["", "x"]),
        accepted=st.booleans(),
        message=WORDS,
        resume_state=STATES,
    ),
)


def follow_up(
    spec: DriftGateSpec, decision: Decision, observation: Observation, now: datetime
) -> Decision:
    """Decide until nothing moves, as the engine does."""
    for _ in range(4):
        if decision.transition is None:
            return decision
        decision = decide(spec, decision.status, observation, now, generation=1)
    raise AssertionError(f"still moving: {decision.transition}")


@EXAMPLES
@given(spec=specs(), status=statuses, data=st.data())
def test_decision_never_raises_and_repeated_changes_nothing(
    spec: DriftGateSpec, status: DriftGateStatus, data: st.DataObject
) -> None:
    observation = data.draw(observations(status.sequence))
    first = decide(spec, status, observation, NOW, generation=7)
    assert first.status.observed_generation == 7
    if first.transition:
        assert first.transition.sequence == status.sequence + 1 == first.status.sequence
        assert first.requeue_after == 0.0
    else:
        assert first.status.sequence == status.sequence
        assert first.requeue_after is None or 0 < first.requeue_after < math.inf
    settled = follow_up(spec, first, observation, NOW)
    again = decide(spec, settled.status, observation, NOW, generation=1)
    assert again.transition is None
    assert again.status == decide(spec, again.status, observation, NOW, generation=1).status
    # What is stored is what was decided: a status that changed on its way would be written again.
    stored = DriftGateStatus.model_validate(again.status.dump())
    assert decide(spec, stored, observation, NOW, generation=1).status.dump() == stored.dump()


@EXAMPLES
@given(spec=specs(), status=statuses, data=st.data())
def test_emergency_stop_wins_within_one_call(
    spec: DriftGateSpec, status: DriftGateStatus, data: st.DataObject
) -> None:
    stop = EmergencyStop(reason="stop", by="carol")
    spec = spec.model_copy(update={"emergency_stop": stop})
    observation = data.draw(observations(status.sequence))
    after = decide(spec, status, observation, NOW, generation=1).status
    assert (after.state, after.allocation_percent) == ("Stopped", 0)


def blocked(spec: DriftGateSpec, status: DriftGateStatus, observation: Observation) -> bool:
    """Said apart from the code under test: whether anything known forbids an upward move."""
    actions = {
        "noData": spec.on_fault.no_data,
        "stale": spec.on_fault.stale,
        "invalid": spec.on_fault.invalid,
    }
    limit = {"500ms": 0.5, "2s": 2.0, "1h": 3600.0}[spec.stale_after]
    for one in observation.strategies:
        found = one.evidence
        if not one.connected or one.age is None:
            silent = one.pod_age >= 10 and observation.observing_for >= 5
            if not silent or actions["noData"] != "Open":
                return True
            continue
        if not one.age <= limit:
            if actions["stale"] != "Open":
                return True
        elif found is None or found.sequence != status.sequence:
            return True
        if found is None:
            continue
        if any(actions[fault.kind] != "Open" for fault in found.faults):
            return True
        if found.tripped and spec.detection.mode == "Enforce":
            return True
    return not observation.strategies


@EXAMPLES
@given(data=st.data(), first=specs())
def test_a_gate_s_whole_life_keeps_its_promises(data: st.DataObject, first: DriftGateSpec) -> None:
    now, spec, status = NOW, first, DriftGateStatus(sequence=data.draw(st.integers(0, 3)))
    for _ in range(data.draw(st.integers(5, 40))):
        now += timedelta(seconds=data.draw(st.sampled_from([0.05, 0.5, 2.0, 6.0, 30.0, 40_000.0])))
        spec = data.draw(edits(spec, status, now))
        observation = data.draw(observations(status.sequence))
        for _ in range(5):
            decision = decide(spec, status, observation, now, generation=1)
            promises(spec, status, observation, decision)
            status = decision.status
            if decision.transition is None:
                break
        else:
            raise AssertionError("still moving after five transitions")


@st.composite
def edits(
    draw: st.DrawFn, spec: DriftGateSpec, status: DriftGateStatus, now: datetime
) -> DriftGateSpec:
    """What people do to a gate; mostly nothing."""
    match draw(st.sampled_from(["", "", "", "", "", "approve", "override", "stop", "lift"])):
        case "approve":
            sequence = max(1, status.sequence - draw(st.integers(0, 1)))
            return spec.model_copy(update={"approval": Approval(sequence=sequence, by="dave")})
        case "override":
            soon = st.integers(-3, 90_000).map(lambda s: now + timedelta(seconds=s))
            return spec.model_copy(update={"override": draw(overrides(soon))})
        case "stop":
            stop = EmergencyStop(reason="stop", by="carol")
            return spec.model_copy(update={"emergency_stop": stop})
        case "lift":
            return spec.model_copy(update={"override": None, "emergency_stop": None})
    return spec


def promises(
    spec: DriftGateSpec, before: DriftGateStatus, observation: Observation, decision: Decision
) -> None:
    after, moved = decision.status, decision.transition
    assert decision.requeue_after is None or decision.requeue_after >= 0
    if after.state in (None, "Suspended", "Stopped"):
        assert after.allocation_percent == 0
    if spec.emergency_stop is not None:
        assert after.state == "Stopped"
    if moved is None:
        same = ("state", "allocation_percent", "sequence", "reason", "last_transition_time")
        assert all(getattr(after, name) == getattr(before, name) for name in same)
        return
    assert moved.sequence == after.sequence == before.sequence + 1
    assert (moved.from_state, moved.to_state) == (before.state or "None", after.state)
    assert moved.from_allocation == before.allocation_percent
    assert moved.allocation == after.allocation_percent
    assert moved.reason == after.reason != ""
    approved = spec.approval is not None and spec.approval.sequence == before.sequence
    if before.state == "Stopped":
        assert approved
        assert after.state == "Suspended"
    upward = moved.allocation > moved.from_allocation
    if upward and moved.reason != "Override":
        assert not blocked(spec, before, observation)
    if upward and before.latched:
        assert moved.reason == "Override" or approved
    if moved.to_state == "Recovering" and moved.from_state == "Recovering":
        assert moved.allocation > moved.from_allocation


def test_worst_signal_of_each_family_is_told_with_few_digits() -> None:
    def one(name: str, score: float, estimate: float) -> StrategyEvidence:
        signal = SignalEvidence("price", score=score, estimate_bps=estimate, events=3)
        found = GateEvidence("g", 0, calibrated=True, score=score, signals=(signal,))
        return StrategyEvidence(name, True, 0.1, 60.0, found)

    spec = DriftGateSpec(signals=(Signal(family="price", tolerance_bps=5, limit_bps=100),))
    observation = Observation((one("a", 0.123, 1.0), one("b", 0.777, -0.04)), 2, 60.0)
    status = decide(spec, DriftGateStatus(), observation, NOW, generation=1).status
    assert status.drift_score == "0.78"
    expected = SignalStatus(
        family="price", score="0.78", estimate_bps="0.0", events=3, strategy="b"
    )
    assert status.signals == (expected,)


def test_status_stands_still_while_nothing_but_time_and_noise_passes() -> None:
    def see(estimate: float) -> dict[str, Any]:
        signal = SignalEvidence("price", score=0.1, estimate_bps=estimate, recovery_p=0.5)
        found = GateEvidence("g", 1, calibrated=True, score=0.1, signals=(signal,))
        one = StrategyEvidence("a", True, 0.1, 60.0, found)
        nonlocal status, now
        now += timedelta(seconds=0.7)
        status = decide(spec, status, Observation((one,), 1, 60.0), now, generation=1).status
        return status.model_dump(exclude={"signals", "drift_score"})

    now, spec = NOW, DriftGateSpec(signals=(PRICE,), reference=DECLARED)
    status = DriftGateStatus(
        state="Recovering", allocation_percent=10, sequence=1, last_transition_time=NOW
    )
    see(0.0)
    for _ in range(8):
        see(1.0)
    still = see(2.0)
    assert all(see(float(i)) == still for i in range(50))
