"""Each rule of the transition table by example."""

from datetime import timedelta

import pytest

from tidegate.api.driftgate import Detection, Learned, OnFaultSpec, Recovery, Reference

from .gate_builders import (
    INVALID,
    NOW,
    STOP,
    Machine,
    approval,
    evidence,
    override,
    seen,
    spec,
)

LEARNED = Reference(learned=Learned())


def test_new_gate_is_created_closed() -> None:
    gate = Machine()
    moved = gate.see().transition
    assert moved is not None
    assert (moved.from_state, moved.to_state, moved.allocation) == ("None", "Calibrating", 0)
    assert (moved.sequence, moved.reason, moved.actor) == (1, "GateCreated", "operator")
    assert gate.requeue_after == 0.0


def test_new_gate_continues_an_older_chain() -> None:
    gate = Machine(sequence=41)
    gate.see()
    assert gate.chain[0].sequence == 42


def test_declared_gate_opens_on_evidence_of_its_present_transition() -> None:
    gate = Machine()
    gate.see()
    gate.see(seen(evidence(0)))
    assert gate.status.state == "Calibrating"
    assert gate.status.message == "waiting for the guards to confirm the last transition"
    gate.see(seen(evidence(1)))
    assert (gate.status.state, gate.status.allocation_percent) == ("Open", 100)
    assert gate.status.reason == "Calibrated"


def test_declared_gate_stays_closed_while_one_guard_is_silent() -> None:
    gate = Machine()
    gate.see()
    silent = seen(None, "b", connected=False, age=None, pod_age=3.0)
    gate.see(seen(evidence(1)), silent)
    assert gate.status.state == "Calibrating"
    assert gate.status.message == "waiting for b: its guard has not reported yet"


def test_declared_gate_does_not_open_on_a_warning() -> None:
    gate = Machine()
    gate.see()
    gate.see(seen(evidence(1, warned=True)))
    assert gate.status.state == "Calibrating"


def test_trip_before_the_first_step_suspends_so_that_the_detector_is_reset() -> None:
    gate = Machine()
    gate.see()
    gate.see(seen(evidence(0, tripped=True)))
    assert gate.status.state == "Calibrating"
    gate.see(seen(evidence(1, tripped=True)))
    assert (gate.status.state, gate.status.reason) == ("Suspended", "DriftDetected")


def test_learning_gate_takes_its_first_step_then_opens_when_all_are_calibrated() -> None:
    gate = Machine(spec(reference=LEARNED))
    gate.healthy(1, calibrated=False)
    assert (gate.status.state, gate.status.allocation_percent) == ("Calibrating", 10)
    assert gate.status.message == "a is still learning its reference"
    gate.healthy()
    assert [(t.to_state, t.allocation, t.reason) for t in gate.chain] == [
        ("Calibrating", 0, "GateCreated"),
        ("Calibrating", 10, "Learning"),
        ("Open", 100, "Calibrated"),
    ]


def test_drift_suspends_and_says_where_and_how_much() -> None:
    gate = Machine().opened()
    at = NOW.timestamp()
    gate.see(seen(evidence(2)), seen(evidence(2, tripped=True, tripped_at=at, score=1.0), "b"))
    moved = gate.chain[-1]
    assert (moved.from_state, moved.to_state, moved.allocation) == ("Open", "Suspended", 0)
    assert (moved.reason, moved.strategy, moved.drift_score) == ("DriftDetected", "b", "1.00")
    assert moved.message == "b: price drift of 1.2 bps (-1.0 to 3.0)"
    assert moved.trigger_at == NOW
    assert gate.condition("DriftDetected")[0] == "True"
    assert gate.condition("Ready")[0] == "False"


def test_trip_that_has_not_heard_of_the_last_transition_counts() -> None:
    gate = Machine().opened()
    gate.see(seen(evidence(1, tripped=True)))
    assert gate.status.reason == "DriftDetected"


def test_observed_drift_is_told_and_changes_nothing() -> None:
    gate = Machine(spec(detection=Detection(mode="Observe"))).opened()
    gate.see(seen(evidence(2, tripped=True)))
    assert gate.status.state == "Open"
    assert gate.condition("DriftDetected")[0] == "True"


@pytest.mark.parametrize(
    ("strategy", "reason"),
    [
        (seen(None, connected=False, age=None), "EvidenceNoData"),
        (seen(evidence(2), age=2.1), "EvidenceStale"),
        (seen(evidence(2), age=float("nan")), "EvidenceStale"),
        (seen(evidence(2, faults=(INVALID,))), "CrossedQuote"),
    ],
)
def test_fault_suspends_with_its_own_reason(strategy: object, reason: str) -> None:
    gate = Machine().opened()
    gate.see(strategy)  # type: ignore[arg-type]
    assert (gate.status.state, gate.status.reason) == ("Suspended", reason)
    assert gate.status.message.startswith("a: ")
    assert gate.chain[-1].strategy == "a"


def test_new_guard_may_be_silent_for_its_grace_and_so_may_every_guard_for_a_new_leader() -> None:
    gate = Machine().opened()
    young = seen(None, connected=False, age=None, pod_age=9.9)
    gate.see(young)
    assert gate.status.state == "Open"
    assert gate.requeue_after == pytest.approx(0.101, abs=0.01)
    gate.see(seen(None, connected=False, age=None), observing_for=4.9)
    assert gate.status.state == "Open"
    gate.see(seen(None, connected=False, age=None, pod_age=10.0), observing_for=5.0)
    assert gate.status.reason == "EvidenceNoData"


def test_held_fault_moves_nothing_down_and_nothing_up() -> None:
    held = OnFaultSpec(invalid="Hold")
    gate = Machine(spec(on_fault=held)).opened()
    gate.see(seen(evidence(2, faults=(INVALID,))))
    assert gate.status.state == "Open"
    gate = Machine(spec(on_fault=held)).recovering()
    gate.healthy(20, faults=(INVALID,))
    assert (gate.status.state, gate.status.allocation_percent) == ("Recovering", 10)
    assert "CrossedQuote" in gate.status.message


def test_fault_that_is_open_is_ignored() -> None:
    gate = Machine(spec(on_fault=OnFaultSpec(invalid="Open")))
    gate.healthy(1, faults=(INVALID,))
    assert gate.status.state == "Open"


def test_fault_comes_before_drift() -> None:
    gate = Machine().opened()
    gate.see(seen(evidence(2, tripped=True, faults=(INVALID,))))
    assert gate.status.reason == "CrossedQuote"


def test_suspended_gate_climbs_every_step_and_opens() -> None:
    gate = Machine().suspended()
    gate.healthy(30)
    assert [(t.to_state, t.allocation, t.reason) for t in gate.chain[-4:]] == [
        ("Recovering", 10, "RecoveryStarted"),
        ("Recovering", 25, "RecoveryStep"),
        ("Recovering", 50, "RecoveryStep"),
        ("Open", 100, "Recovered"),
    ]
    assert gate.status.recoveries_today == 1


def test_clearness_begins_anew_after_any_doubt() -> None:
    gate = Machine().suspended()
    gate.healthy(4)
    assert gate.status.clear_since is not None
    gate.healthy(warned=True)
    assert gate.status.clear_since is None
    gate.healthy(4)
    assert gate.status.state == "Suspended"


@pytest.mark.parametrize(
    ("doubt", "says"),
    [
        ({"p": 0.5}, "a has not proved yet that market is below its limit"),
        ({"p": float("nan")}, "a has not proved yet that market is below its limit"),
        ({"signals": ()}, "a has not proved yet that market is below its limit"),
        ({"sequence": 1}, "waiting for the guards to confirm the last transition"),
        ({"warned": True}, "a: drift is suspected"),
        ({"faults": (INVALID,)}, "a: bid 10 above ask 9 (CrossedQuote)"),
    ],
)
def test_suspended_gate_waits_and_says_for_what(doubt: dict[str, object], says: str) -> None:
    gate = Machine().suspended()
    why = gate.status.message
    for _ in range(20):
        gate.see(seen(evidence(**{"sequence": gate.status.sequence, **doubt})))  # type: ignore[arg-type]
        gate.pass_time(1)
    assert gate.status.state == "Suspended"
    assert gate.condition("Ready")[2] == says
    assert gate.status.message == why


def test_strategy_without_reference_is_let_into_the_ramp_but_not_up() -> None:
    gate = Machine(spec(reference=LEARNED)).suspended()
    gate.healthy(20, calibrated=False, p=1.0)
    assert (gate.status.state, gate.status.allocation_percent) == ("Recovering", 10)
    assert gate.status.message == "at 10 %: a is still learning its reference"


def test_ramp_waits_for_the_proof_of_every_family() -> None:
    gate = Machine().recovering()
    gate.healthy(20, p=2e-3)
    assert gate.status.allocation_percent == 10
    assert gate.status.message == (
        "at 10 %: a has not proved yet that price, market is below its limit"
    )


def test_ramp_waits_for_its_dwell() -> None:
    gate = Machine().recovering()
    began = gate.status.last_transition_time
    while gate.status.allocation_percent == 10:
        gate.healthy(0.25)
    assert began is not None
    assert gate.status.last_transition_time == began + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("evidence_fields", "reason"),
    [({"warned": True}, "DriftInRamp"), ({"warned": True, "tripped": True}, "DriftDetected")],
)
def test_doubt_in_the_ramp_goes_back_to_nothing(
    evidence_fields: dict[str, bool], reason: str
) -> None:
    gate = Machine().recovering()
    gate.healthy(**evidence_fields)  # type: ignore[arg-type]
    assert (gate.status.state, gate.status.allocation_percent) == ("Suspended", 0)
    assert gate.status.reason == reason


def test_single_step_of_100_goes_straight_to_open() -> None:
    gate = Machine(spec(recovery=Recovery(steps=(100,)))).suspended()
    gate.healthy(5.5)
    assert (gate.status.state, gate.status.reason) == ("Open", "Recovered")
    assert gate.status.recoveries_today == 1


def test_gate_latches_after_its_recoveries_of_the_day_until_approved() -> None:
    gate = Machine(spec(recovery=Recovery(max_per_day=1))).recovering()
    gate.healthy(tripped=True)
    gate.healthy(10)
    assert (gate.status.state, gate.status.latched) == ("Suspended", True)
    holds, reason, message = gate.condition("Latched")
    assert (holds, reason) == ("True", "TooManyRecoveries")
    assert f"set spec.approval to {{sequence: {gate.status.sequence}," in message
    gate.pass_time(24 * 3600)
    gate.healthy(10)
    assert gate.status.state == "Suspended"
    gate.edit(approval=approval(gate.status.sequence - 1))
    gate.healthy(1)
    assert gate.status.state == "Suspended"
    gate.edit(approval=approval(gate.status.sequence))
    gate.healthy(1)
    assert (gate.status.state, gate.status.latched) == ("Recovering", False)
    assert (gate.chain[-1].reason, gate.chain[-1].actor) == ("RecoveryApproved", "dave")


def test_recoveries_are_counted_by_utc_day() -> None:
    gate = Machine(spec(recovery=Recovery(max_per_day=1))).recovering()
    gate.pass_time(12 * 3600)
    gate.healthy(tripped=True)
    assert gate.status.recoveries_today == 0
    gate.healthy(6)
    assert (gate.status.state, gate.status.recoveries_today) == ("Recovering", 1)
    assert gate.status.recovery_day == "2026-03-15"


def test_required_approval_does_not_replace_clear_evidence() -> None:
    gate = Machine(spec(recovery=Recovery(mode="RequireApproval"))).suspended()
    gate.edit(approval=approval(gate.status.sequence))
    gate.healthy(10, warned=True)
    assert gate.status.state == "Suspended"
    gate.healthy(6)
    assert (gate.status.state, gate.chain[-1].actor) == ("Recovering", "dave")


@pytest.mark.parametrize("state", ["Open", "Suspended"])
def test_gate_without_strategies_stays_where_it_is(state: str) -> None:
    gate = Machine().opened() if state == "Open" else Machine().suspended()
    for _ in range(10):
        gate.see()
        gate.pass_time(10)
    assert gate.status.state == state
    assert gate.condition("StrategiesSelected")[:2] == ("False", "NoStrategies")
    assert gate.requeue_after is None


def test_emergency_stop_beats_everything_and_stays_latched() -> None:
    gate = Machine().opened()
    gate.edit(emergency_stop=STOP, override=override("Open"))
    gate.see(seen(evidence(2)))
    stopped = gate.chain[-1]
    assert (stopped.to_state, stopped.allocation) == ("Stopped", 0)
    assert (stopped.reason, stopped.actor) == ("EmergencyStop", "carol")
    gate.edit(emergency_stop=None)
    gate.healthy(20)
    assert (gate.status.state, gate.status.latched) == ("Stopped", True)
    gate.edit(approval=approval(stopped.sequence))
    gate.healthy()
    assert (gate.status.state, gate.status.reason) == ("Suspended", "Resumed")
    assert (gate.chain[-1].actor, gate.status.latched) == ("dave", False)


def test_new_gate_with_an_emergency_stop_is_stopped_at_once() -> None:
    gate = Machine(spec(emergency_stop=STOP))
    gate.see()
    assert [(t.from_state, t.to_state) for t in gate.chain] == [("None", "Stopped")]


def test_emergency_stop_is_not_lifted_by_an_approval_while_it_stands() -> None:
    gate = Machine(spec(emergency_stop=STOP))
    gate.see()
    gate.edit(approval=approval(1))
    gate.healthy(5)
    assert gate.status.state == "Stopped"
