"""The audit chain: each record carries the hash of the one before, so none can be changed, left
out or put in unseen.

The hash is SHA-256, in hex, over the record's spec without `hash`: JSON with sorted keys, no spaces
and raw UTF-8. That is just what is stored, so anyone can check it without this code:

    kubectl get gt NAME -o json | jq -Sjc '.spec | del(.hash)' | sha256sum
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from tidegate.api.driftgate import DriftGateStatus, OverrideStatus
from tidegate.api.transition import GateTransitionSpec, Times
from tidegate.core.gate import Transition
from tidegate.core.gate_override import resume_state
from tidegate.core.gate_rules import day, recoveries


def digest(record: GateTransitionSpec) -> str:
    """The hash that `record` should bear."""
    body: dict[str, Any] = record.dump()
    body.pop("hash", None)
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def record(
    transition: Transition,
    *,
    gate: str,
    uid: str,
    previous_hash: str,
    observed: datetime,
    decided: datetime,
    written: datetime,
) -> GateTransitionSpec:
    """The record of `transition`, with its hash. Times are aware; they are stored in UTC."""
    unsigned = GateTransitionSpec(
        gate=gate,
        gate_uid=uid,
        sequence=transition.sequence,
        from_state=transition.from_state,
        to_state=transition.to_state,
        from_allocation_percent=transition.from_allocation,
        allocation_percent=transition.allocation,
        reason=transition.reason,
        message=transition.message,
        actor=transition.actor,
        drift_score=transition.drift_score,
        signals=transition.signals,
        strategy=transition.strategy,
        times=Times(
            observed=observed.astimezone(UTC),
            decided=decided.astimezone(UTC),
            written=written.astimezone(UTC),
        ),
        previous_hash=previous_hash,
        hash="0" * 64,
    )
    return unsigned.model_copy(update={"hash": digest(unsigned)})


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one record: its name, the field, what was expected and what was found."""

    record: str
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.record}: {self.field} expected {self.expected}, found {self.found}"


def verify(records: Iterable[GateTransitionSpec]) -> list[Problem]:
    """Every flaw of the chains in `records`: in any order, of any gates of one namespace.

    A chain begins at sequence 1; an empty list of problems means whole and untouched. That its end
    is not cut off only the gate can tell: compare its status.sequence with the last record's.
    """
    problems: list[Problem] = []
    before: dict[str, GateTransitionSpec] = {}
    for this in sorted(records, key=lambda r: (r.gate, r.sequence)):
        problems += _compare(this, before.get(this.gate))
        before[this.gate] = this
    return problems


def _compare(this: GateTransitionSpec, last: GateTransitionSpec | None) -> list[Problem]:
    name = f"{this.gate}-{this.sequence}"
    found: list[Problem] = []

    def expect(field: str, expected: object, actual: object) -> None:
        if expected != actual:
            found.append(Problem(name, field, str(expected), str(actual)))

    expect("hash", digest(this), this.hash)
    if last is not None and last.sequence == this.sequence:
        return [*found, Problem(name, "sequence", "one record", "a duplicate")]
    expect("sequence", last.sequence + 1 if last else 1, this.sequence)
    if last is None and this.sequence > 1:
        return found  # What came before is missing: nothing to compare with.
    expect("previousHash", last.hash if last else "", this.previous_hash)
    if last is not None and last.sequence + 1 != this.sequence:
        return found
    # A gate made anew under the name of an old one begins from nothing.
    anew = last is None or last.to_state == "Deleted" or last.gate_uid != this.gate_uid
    expect("from", last.to_state if last and not anew else "None", this.from_state)
    if last and not anew:
        expect("fromAllocationPercent", last.allocation_percent, this.from_allocation_percent)
    return found


def adopt(status: DriftGateStatus, record: GateTransitionSpec) -> DriftGateStatus:
    """The status that `record` explains, for a gate whose writer died before it wrote the status.

    `status` is the one from before the record. What the record does not tell, the next `decide`
    sets right. After Deleted there is no state: a gate of that name begins anew.
    """
    if record.to_state in ("Deleted", "None"):
        return DriftGateStatus(sequence=record.sequence, record_hash=record.hash)
    decided = record.times.decided
    changes: dict[str, Any] = {
        "state": record.to_state,
        "allocation_percent": record.allocation_percent,
        "drift_score": record.drift_score,
        "signals": record.signals,
        "reason": record.reason,
        "message": record.message,
        "sequence": record.sequence,
        "record_hash": record.hash,
        "last_transition_time": decided,
        "clear_since": None,
        "override": _override(status, record),
    }
    if record.to_state == "Stopped":
        changes["latched"] = True
    elif record.reason == "Resumed":
        changes["latched"] = False
    elif _begins_recovery(record):
        changes.update(
            latched=False,
            recoveries_today=recoveries(status, decided) + 1,
            recovery_day=day(decided),
        )
    return status.model_copy(update=changes)


def _begins_recovery(record: GateTransitionSpec) -> bool:
    return record.from_state == "Suspended" and (
        record.to_state == "Recovering"
        or (record.to_state == "Open" and record.reason == "Recovered")
    )


def _override(status: DriftGateStatus, record: GateTransitionSpec) -> OverrideStatus | None:
    """What the record says of the override in force."""
    known = status.override
    if record.reason == "Override":
        # The record does not name the override's expiry: an empty digest has it judged again.
        resume = resume_state(status) or "Suspended"
        return OverrideStatus(
            digest="",
            accepted=True,
            reason="Accepted",
            message=record.message[:1024],
            resume_state=resume,
        )
    if known is None or record.reason == "OverrideRemoved":
        return None
    if record.reason == "OverrideExpired":
        return known.model_copy(
            update={
                "accepted": False,
                "reason": "Expired",
                "message": "the override ended; remove spec.override",
                "resume_state": None,
            }
        )
    if record.to_state == "Stopped":
        return known.model_copy(update={"resume_state": None})
    return known
