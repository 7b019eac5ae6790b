"""The audit chain: nothing is changed, left out or put in unseen."""

import hashlib
import json
import random
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.api.driftgate import DriftGateStatus
from tidegate.api.transition import GateTransitionSpec
from tidegate.core import audit
from tidegate.core.gate import Transition

from .gate_builders import INVALID, NOW, STOP, Machine, approval, evidence, override, seen, spec


def signed(transitions: list[Transition], uid: str = "u1") -> list[GateTransitionSpec]:
    """The chain that the engine would write, read back as the apiserver gives it."""
    records: list[GateTransitionSpec] = []
    for number, transition in enumerate(transitions):
        at = NOW + timedelta(seconds=number, microseconds=7)
        record = audit.record(
            transition,
            gate="g",
            uid=uid,
            previous_hash=records[-1].hash if records else "",
            observed=transition.trigger_at or at,
            decided=at,
            written=at,
        )
        records.append(GateTransitionSpec.model_validate(json.loads(json.dumps(record.dump()))))
    return records


@pytest.fixture(scope="module")
def chain() -> list[GateTransitionSpec]:
    gate = Machine().suspended()
    gate.healthy(30)
    return signed(gate.chain)


def changed(record: GateTransitionSpec, **fields: Any) -> GateTransitionSpec:
    return record.model_copy(update=fields)


def resigned(record: GateTransitionSpec, **fields: Any) -> GateTransitionSpec:
    new = changed(record, **fields)
    return changed(new, hash=audit.digest(new))


def test_whole_chain_has_no_problem_in_any_order(chain: list[GateTransitionSpec]) -> None:
    assert len(chain) == 7
    assert audit.verify(chain) == []
    assert audit.verify(reversed(chain)) == []


def test_hash_is_that_of_the_stored_json() -> None:
    moved = Transition("None", "Calibrating", 0, 0, "GateCreated", 'für <alle> & "jeden"', "é", 1)
    (record,) = signed([moved])
    stored = record.dump()
    del stored["hash"]
    text = json.dumps(stored, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert record.hash == hashlib.sha256(text.encode()).hexdigest()


def test_hash_survives_other_zones_and_whole_seconds() -> None:
    moved = Transition("None", "Calibrating", 0, 0, "GateCreated", "", "operator", 1)
    east = NOW.astimezone(timezone(timedelta(hours=9)))
    record = audit.record(
        moved, gate="g", uid="u", previous_hash="", observed=east, decided=NOW, written=NOW
    )
    assert record.dump()["times"]["observed"] == "2026-03-14T12:00:00.000000Z"
    assert audit.verify([GateTransitionSpec.model_validate(record.dump())]) == []


@given(at=st.integers(0, 6), field=st.sampled_from(sorted(GateTransitionSpec.model_fields)))
@settings(deadline=None)
def test_any_changed_field_is_found(chain: list[GateTransitionSpec], at: int, field: str) -> None:
    old = getattr(chain[at], field)
    others: dict[str, Any] = {
        "times": old.model_copy(update={"decided": NOW - timedelta(days=1)})
        if field == "times"
        else None,
        "signals": (),
        "from_state": "Stopped",
        "to_state": "Stopped",
    }
    new = others.get(field) if field in others else old + 1 if isinstance(old, int) else old + "x"
    tampered = [*chain[:at], changed(chain[at], **{field: new}), *chain[at + 1 :]]
    if new != old:
        assert audit.verify(tampered)


def test_rewritten_record_breaks_the_one_after_it(chain: list[GateTransitionSpec]) -> None:
    forged = [*chain[:2], resigned(chain[2], actor="nobody"), *chain[3:]]
    (problem,) = audit.verify(forged)
    assert (problem.record, problem.field) == ("g-4", "previousHash")
    assert problem.expected == forged[2].hash
    assert problem.found == chain[2].hash
    assert str(problem) == f"g-4: previousHash expected {forged[2].hash}, found {chain[2].hash}"


def test_missing_record_is_a_gap(chain: list[GateTransitionSpec]) -> None:
    problems = audit.verify([*chain[:2], *chain[3:]])
    assert str(problems[0]) == "g-4: sequence expected 3, found 4"


def test_missing_beginning_is_a_gap(chain: list[GateTransitionSpec]) -> None:
    (problem,) = audit.verify(chain[2:])
    assert (problem.record, problem.field, problem.expected) == ("g-3", "sequence", "1")


def test_duplicate_is_found(chain: list[GateTransitionSpec]) -> None:
    assert any(p.found == "a duplicate" for p in audit.verify([*chain, chain[3]]))


def test_from_state_and_allocation_continue_the_record_before(
    chain: list[GateTransitionSpec],
) -> None:
    forged = resigned(chain[-1], from_state="Open", from_allocation_percent=99)
    fields = {p.field for p in audit.verify([*chain[:-1], forged])}
    assert fields == {"from", "fromAllocationPercent"}


@pytest.mark.parametrize("uid", ["u1", "u2"])
def test_gate_made_anew_continues_the_chain_from_nothing(
    chain: list[GateTransitionSpec], uid: str
) -> None:
    last = chain[-1]
    records = list(chain)
    if uid == "u1":
        deleted = Transition("Open", "Deleted", 100, 0, "GateDeleted", "", "operator", 8)
        records.append(
            audit.record(
                deleted, gate="g", uid="u1", previous_hash=last.hash,
                observed=NOW, decided=NOW, written=NOW,
            )
        )  # fmt: skip
        assert audit.adopt(DriftGateStatus(), records[-1]) == DriftGateStatus(
            sequence=8, record_hash=records[-1].hash
        )
    anew = Transition(
        "None", "Calibrating", 0, 0, "GateCreated", "", "operator", records[-1].sequence + 1
    )
    records.append(
        audit.record(
            anew, gate="g", uid="u2", previous_hash=records[-1].hash,
            observed=NOW, decided=NOW, written=NOW,
        )
    )  # fmt: skip
    assert audit.verify(records) == []


def test_chains_of_several_gates_are_verified_apart(chain: list[GateTransitionSpec]) -> None:
    moved = Transition("None", "Calibrating", 0, 0, "GateCreated", "", "operator", 1)
    other = audit.record(
        moved, gate="h", uid="u9", previous_hash="", observed=NOW, decided=NOW, written=NOW
    )
    mixed = [other, *chain]
    random.Random(4).shuffle(mixed)
    assert audit.verify(mixed) == []


def crash_after_record(gate: Machine, do: Any) -> tuple[DriftGateStatus, DriftGateStatus]:
    """The status that `do` leads to, and the one adopted from its record alone."""
    before, number = gate.status, len(gate.chain)
    do(gate)
    assert len(gate.chain) == number + 1
    (record,) = signed([gate.chain[-1]])
    record = record.model_copy(
        update={
            "times": record.times.model_copy(update={"decided": gate.status.last_transition_time})
        }
    )
    return gate.status.model_copy(update={"record_hash": record.hash}), audit.adopt(before, record)


def test_adopted_status_is_the_one_that_was_lost() -> None:
    """What the record can't tell is set right by the next decision, without a transition."""
    gate = Machine(spec())
    actions = [
        lambda g: g.see(seen(evidence(0))),
        lambda g: g.see(seen(evidence(1))),
        lambda g: g.see(seen(evidence(2, faults=(INVALID,)))),
        lambda g: (g.edit(override=override("Open")), g.see(seen(evidence(3)))),
        lambda g: (g.edit(override=None), g.see(seen(evidence(4)))),
        lambda g: (g.edit(emergency_stop=STOP), g.see(seen(evidence(5)))),
        lambda g: (g.edit(emergency_stop=None, approval=approval(6)), g.see(seen(evidence(6)))),
        lambda g: (g.pass_time(5), g.see(seen(evidence(7)))),
    ]
    for action in actions:
        lost, adopted = crash_after_record(gate, action)
        told = {
            "state", "allocation_percent", "sequence", "reason", "record_hash", "latched",
            "last_transition_time", "recoveries_today", "recovery_day", "clear_since",
        }  # fmt: skip
        assert adopted.model_dump(include=told) == lost.model_dump(include=told)
        successor = Machine(gate.spec)
        successor.status, successor.now = adopted, gate.now
        again = successor.see(seen(evidence(lost.sequence - 1)))
        assert again.transition is None, again.transition
        assert again.status.override == lost.override
        assert again.status.message == lost.message
        if lost.reason == "Resumed":
            gate.see(seen(evidence(lost.sequence)))
            assert gate.status.clear_since is not None
    assert gate.status.state == "Recovering"


def test_adopted_override_goes_back_to_where_the_gate_was() -> None:
    gate = Machine().opened()
    gate.edit(override=override("Open"))
    _, adopted = crash_after_record(gate, lambda g: g.see(seen(evidence(2))))
    successor = Machine(spec())
    successor.status, successor.now = adopted, gate.now
    successor.see(seen(evidence(3)))
    assert (successor.status.state, successor.status.reason) == ("Open", "OverrideRemoved")


def test_adopted_day_of_recovery_is_that_of_the_decision() -> None:
    moved = Transition("Suspended", "Recovering", 0, 10, "RecoveryStarted", "", "operator", 4)
    (record,) = signed([moved])
    yesterday = DriftGateStatus(state="Suspended", recoveries_today=2, recovery_day="2026-03-13")
    adopted = audit.adopt(yesterday, record)
    assert (adopted.recoveries_today, adopted.recovery_day) == (1, "2026-03-14")
    assert adopted.last_transition_time == datetime(2026, 3, 14, 12, 0, 0, 7, tzinfo=UTC)
