"""A guard's own permit: the least of all that may speak."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.api.driftgate import (
    Detection,
    DriftGateSpec,
    DriftGateStatus,
    Learned,
    OnFaultSpec,
    OverrideStatus,
    Reference,
)
from tidegate.api.strategy import OrphanedBy
from tidegate.core.permit import GoverningGate, OwnTest, PermitInputs, decide_permit

from .gate_builders import STOP, override, spec

LEARNED = Reference(learned=Learned())
HALT = OrphanedBy(gate="old", on_delete="Halt")
RELEASE = OrphanedBy(gate="old", on_delete="Release")
HEALTHY = OwnTest(calibrated=True)
OVERRIDDEN = OverrideStatus(digest="d", accepted=True, resume_state="Suspended")


def gate(
    name: str = "g",
    *,
    state: str | None = "Open",
    allocation: int = 100,
    test: OwnTest = HEALTHY,
    overridden: bool = False,
    **fields: Any,
) -> GoverningGate:
    status = DriftGateStatus(
        state=state,
        allocation_percent=allocation,
        override=OVERRIDDEN if overridden else None,
    )
    return GoverningGate(name, spec(**fields), status, test)


def inputs(*gates: GoverningGate, **fields: Any) -> PermitInputs:
    healthy: dict[str, Any] = {
        "mode": "Live",
        "synced": True,
        "found": True,
        "suspend": False,
        "heartbeat_age": 1.0,
        "existing": frozenset(g.name for g in gates),
    }
    return PermitInputs(gates=gates, **{**healthy, **fields})


def says(wanted: PermitInputs) -> tuple[str, int, str]:
    found = decide_permit(wanted)
    return found.state, found.allocation, found.reason


def test_open_gate_permits_what_it_allocates() -> None:
    assert says(inputs(gate())) == ("Active", 100, "GateOpen")
    ramp = gate(state="Recovering", allocation=25)
    assert says(inputs(ramp)) == ("Active", 25, "GateRecovering")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"synced": False}, "NotSynced"),
        ({"found": False}, "StrategyNotFound"),
        ({"suspend": True}, "StrategySuspended"),
        ({"mode": "Paper"}, "PaperMode"),
        ({"heartbeat_age": None}, "ControlPlaneLost"),
        ({"heartbeat_age": 15.1}, "ControlPlaneLost"),
        ({"heartbeat_age": float("nan")}, "ControlPlaneLost"),
    ],
)
def test_nothing_is_permitted_while(fields: dict[str, Any], reason: str) -> None:
    assert says(inputs(gate(), **fields)) == ("Halted", 0, reason)


def test_shortest_permit_ttl_counts() -> None:
    gates = (gate("a", permit_ttl="60s"), gate("b", permit_ttl="3s"))
    assert says(inputs(*gates, heartbeat_age=4.0))[2] == "ControlPlaneLost"


def test_control_plane_may_be_lost_only_if_every_gate_holds_and_it_was_seen_once() -> None:
    hold = OnFaultSpec(control_plane_lost="Hold")
    held = gate("a", on_fault=hold)
    assert says(inputs(held, heartbeat_age=900.0)) == ("Active", 100, "GateOpen")
    assert says(inputs(held, heartbeat_age=None))[2] == "ControlPlaneLost"
    assert says(inputs(held, gate("b"), heartbeat_age=900.0))[2] == "ControlPlaneLost"


def test_strategy_without_a_gate_is_halted() -> None:
    assert says(inputs()) == ("Halted", 0, "NoGate")


def test_deleted_gate_halts_unless_it_released() -> None:
    assert says(inputs(orphaned_by=(HALT,))) == ("Halted", 0, "GateDeleted")
    assert says(inputs(orphaned_by=(RELEASE,))) == ("Active", 100, "GateReleased")
    assert says(inputs(orphaned_by=(RELEASE, HALT)))[0] == "Halted"


def test_deleted_gate_halts_although_another_gate_is_open() -> None:
    found = decide_permit(inputs(gate(), orphaned_by=(HALT,)))
    assert (found.state, found.reason, found.gate) == ("Halted", "GateDeleted", "old")


def test_gate_made_anew_replaces_the_deleted_one() -> None:
    anew = inputs(gate("old"), orphaned_by=(HALT,))
    assert says(anew) == ("Active", 100, "GateOpen")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (GoverningGate("g", spec(), None, HEALTHY), "GateNew"),
        (gate(state=None), "GateNew"),
        (gate(state="Suspended"), "GateSuspended"),
        (gate(state="Stopped"), "GateStopped"),
        (gate(emergency_stop=STOP), "EmergencyStop"),
        (gate(test=OwnTest(tripped=True, calibrated=True)), "DriftDetected"),
        (gate(test=OwnTest(calibrated=True, faults=("invalid",))), "EvidenceInvalid"),
    ],
)
def test_gate_halts_when(found: GoverningGate, reason: str) -> None:
    decision = decide_permit(inputs(gate("fine"), found))
    assert (decision.state, decision.allocation, decision.reason) == ("Halted", 0, reason)
    assert (decision.gate, decision.gates) == ("g", ("fine", "g"))
    assert str(decision) == f"Halted 0 %: {reason} by g"


def test_observed_trip_and_faults_that_hold_or_open_change_nothing() -> None:
    test = OwnTest(tripped=True, calibrated=True, faults=("invalid", "stale"))
    observe = Detection(mode="Observe")
    lenient = OnFaultSpec(invalid="Hold", stale="Open")
    assert says(inputs(gate(test=test, detection=observe, on_fault=lenient)))[1] == 100


def test_uncalibrated_strategy_is_capped_at_the_first_step_while_it_learns() -> None:
    assert says(inputs(gate(test=OwnTest(), reference=LEARNED))) == ("Active", 10, "Learning")
    assert says(inputs(gate(test=OwnTest())))[1] == 100
    small = gate(state="Recovering", allocation=5, test=OwnTest(), reference=LEARNED)
    assert says(inputs(small))[1] == 5


def test_override_open_beats_the_own_test_but_not_a_stop() -> None:
    bad = OwnTest(tripped=True, faults=("invalid",))
    word = override("Open")
    assert says(inputs(gate(test=bad, overridden=True, override=word))) == (
        "Active",
        100,
        "Override",
    )
    # The operator has yet to see that it was taken back: the guard has seen it already.
    assert says(inputs(gate(test=bad, overridden=True)))[1] == 0
    assert says(inputs(gate(test=bad, override=word)))[1] == 0
    stopped = gate(test=bad, overridden=True, override=word, state="Stopped")
    assert says(inputs(stopped))[1] == 0
    assert says(inputs(gate(overridden=True, override=word, emergency_stop=STOP)))[1] == 0


@st.composite
def gates(draw: st.DrawFn) -> list[GoverningGate]:
    return [
        gate(
            f"g{number}",
            state=draw(st.sampled_from([None, "Calibrating", "Open", "Suspended", "Recovering"])),
            allocation=draw(st.sampled_from([0, 10, 50, 100])),
            test=OwnTest(
                draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from([(), ("stale",)]))
            ),
            reference=draw(st.sampled_from([LEARNED, DriftGateSpec().reference])),
        )
        for number in range(draw(st.integers(0, 4)))
    ]


@given(
    found=gates(),
    orphans=st.lists(st.sampled_from([HALT, RELEASE]), max_size=2).map(tuple),
    age=st.none() | st.floats(),
    mode=st.sampled_from(["Live", "Paper"]),
    synced=st.booleans(),
    suspend=st.booleans(),
)
@settings(deadline=None)
def test_permit_is_never_above_what_any_gate_allows(
    found: list[GoverningGate],
    orphans: tuple[OrphanedBy, ...],
    age: float | None,
    mode: str,
    synced: bool,
    suspend: bool,
) -> None:
    whole = inputs(
        *found, orphaned_by=orphans, heartbeat_age=age, mode=mode, synced=synced, suspend=suspend
    )
    decision = decide_permit(whole)
    assert (decision.state == "Halted") == (decision.allocation == 0)
    for one in found:
        alone = decide_permit(replace(whole, gates=(one,)))
        assert decision.allocation <= alone.allocation
        assert one.status is not None
        assert decision.allocation <= one.status.allocation_percent
        if one.status.state in (None, "Suspended") or one.test.tripped:
            assert decision.allocation == 0
    if HALT in orphans or not synced or suspend or mode == "Paper":
        assert decision.allocation == 0
