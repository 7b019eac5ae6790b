"""A person's word against the evidence: when it counts, for how long, and what follows."""

import pytest

from .gate_builders import INVALID, STOP, Machine, approval, evidence, override, seen


def test_override_open_beats_drift_and_faults() -> None:
    gate = Machine().suspended()
    gate.edit(override=override("Open", at=gate.now, reason="known outage"))
    gate.healthy(tripped=True, faults=(INVALID,))
    assert (gate.status.state, gate.status.allocation_percent) == ("Open", 100)
    moved = gate.chain[-1]
    assert (moved.reason, moved.actor, moved.message) == ("Override", "alice", "known outage")
    gate.healthy(60, tripped=True)
    assert gate.chain[-1] is moved
    assert gate.condition("OverrideAccepted")[:2] == ("True", "Accepted")


def test_override_suspended_halts_an_open_gate_and_its_removal_recovers() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Suspended"))
    gate.healthy(30)
    assert (gate.status.state, gate.status.reason) == ("Suspended", "Override")
    assert gate.status.clear_since is None
    gate.edit(override=None)
    gate.healthy()
    assert (gate.status.state, gate.status.reason) == ("Suspended", "OverrideRemoved")
    gate.healthy(6)
    assert gate.status.state == "Recovering"
    assert all(c.type != "OverrideAccepted" for c in gate.status.conditions)


def test_gate_wakes_at_the_expiry() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Suspended", hours=1, at=gate.now))
    gate.healthy()
    gate.see()
    assert gate.requeue_after == pytest.approx(3600, abs=1)


def test_gate_that_was_open_stays_open_when_an_override_open_expires() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Open", hours=0.01, at=gate.now))
    gate.healthy(40)
    moved = gate.chain[-1]
    assert (moved.from_state, moved.to_state, moved.reason) == ("Open", "Open", "OverrideExpired")
    assert gate.status.override is not None
    assert not gate.status.override.accepted
    assert gate.condition("OverrideAccepted")[:2] == ("False", "Expired")


@pytest.mark.parametrize("doubt", [{"tripped": True}, {"faults": (INVALID,)}])
def test_gate_that_was_open_is_suspended_when_the_override_ends_in_doubt(
    doubt: dict[str, object],
) -> None:
    gate = Machine().opened()
    gate.edit(override=override("Open"))
    gate.healthy(1)
    gate.edit(override=None)
    gate.healthy(**doubt)  # type: ignore[arg-type]
    assert (gate.status.state, gate.status.reason) == ("Suspended", "OverrideRemoved")


def test_gate_that_was_suspended_is_suspended_again_when_an_override_open_ends() -> None:
    gate = Machine().suspended()
    gate.edit(override=override("Open"))
    gate.healthy(5)
    gate.edit(override=None)
    gate.healthy()
    assert (gate.status.state, gate.status.reason) == ("Suspended", "OverrideRemoved")


def test_extended_override_still_goes_back_to_open() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Open", hours=1))
    gate.healthy(1)
    gate.edit(override=override("Open", hours=2))
    gate.healthy(1)
    assert [t.reason for t in gate.chain[-2:]] == ["Override", "Override"]
    gate.edit(override=None)
    gate.healthy()
    assert gate.status.state == "Open"


def test_extending_an_override_open_does_not_make_a_suspended_gate_an_open_one() -> None:
    gate = Machine().suspended()
    gate.edit(override=override("Open", hours=1))
    gate.healthy(1)
    gate.edit(override=override("Open", hours=2))
    gate.healthy(1)
    gate.edit(override=None)
    gate.healthy()
    assert gate.status.state == "Suspended"


def test_override_open_after_a_suspended_one_does_not_go_back_to_open() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Suspended"))
    gate.healthy(1)
    gate.edit(override=override("Open"))
    gate.healthy(1)
    assert gate.status.state == "Open"
    gate.edit(override=None)
    gate.healthy()
    assert gate.status.state == "Suspended"


@pytest.mark.parametrize(("hours", "reason"), [(-0.001, "Expired"), (24.1, "TooLong")])
def test_override_out_of_bounds_is_refused_for_good(hours: float, reason: str) -> None:
    gate = Machine().opened()
    gate.edit(override=override("Suspended", hours=hours, at=gate.now))
    gate.healthy(1)
    assert gate.status.state == "Open"
    holds, said, message = gate.condition("OverrideAccepted")
    assert (holds, said) == ("False", reason)
    assert "24 hours" in message
    # By now one of 24.1 hours has less than 24 left: it was judged when first seen.
    gate.pass_time(3600)
    gate.healthy(1)
    assert gate.status.state == "Open"
    assert gate.condition("OverrideAccepted")[2] == message


def test_refused_override_in_place_of_one_in_force_ends_that_one() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Suspended"))
    gate.healthy(1)
    gate.edit(override=override("Suspended", hours=30))
    gate.healthy()
    assert gate.status.reason == "OverrideRemoved"
    gate.healthy(6)
    assert gate.status.state == "Recovering"


def test_emergency_stop_ends_an_override_open_for_good() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Open"))
    gate.healthy(1)
    gate.edit(emergency_stop=STOP)
    gate.healthy(1)
    assert gate.status.state == "Stopped"
    assert gate.condition("OverrideAccepted")[:2] == ("False", "Stopped")
    gate.edit(emergency_stop=None, approval=approval(gate.status.sequence))
    gate.healthy(1)
    assert (gate.status.state, gate.status.reason) == ("Suspended", "Resumed")


def test_override_suspended_outlasts_an_emergency_stop() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Suspended"))
    gate.healthy(1)
    gate.edit(emergency_stop=STOP)
    gate.healthy(1)
    gate.edit(emergency_stop=None, approval=approval(gate.status.sequence))
    gate.healthy(60)
    assert (gate.status.state, gate.status.reason) == ("Suspended", "Override")
    assert [t.to_state for t in gate.chain[-3:]] == ["Stopped", "Suspended", "Suspended"]


def test_new_gate_with_an_override_is_created_first() -> None:
    gate = Machine()
    gate.edit(override=override("Open"))
    gate.settle(seen(evidence(0)))
    assert [t.reason for t in gate.chain] == ["GateCreated", "Override"]
