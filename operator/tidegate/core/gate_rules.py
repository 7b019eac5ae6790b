"""The transition table of a gate: who may move it, from where, where to; first match wins."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tidegate.api.driftgate import Approval, DriftGateSpec, DriftGateStatus, GateState
from tidegate.api.quantity import parse_duration
from tidegate.core.gate_evidence import Facts, Standing, drift_message
from tidegate.core.gate_override import Ruling, seconds_between

OPERATOR = "operator"
TRADING: frozenset[GateState] = frozenset({"Open", "Recovering"})


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a rule may look at."""

    spec: DriftGateSpec
    status: DriftGateStatus
    facts: Facts
    ruling: Ruling
    now: datetime

    @property
    def trading(self) -> bool:
        """Whether there is something to suspend."""
        return self.status.state in TRADING or self.status.allocation_percent > 0

    @property
    def learns(self) -> bool:
        return self.spec.reference.declared is None

    @property
    def approved(self) -> Approval | None:
        """An approval of just the transition that the gate stands at."""
        found = self.spec.approval
        return found if found and found.sequence == self.status.sequence else None

    def clear_left(self) -> float | None:
        """Seconds until the evidence was clear for long enough; None while it is not clear."""
        if self.status.clear_since is None:
            return None
        wanted = parse_duration(self.spec.recovery.clear_for)
        return max(0.0, wanted - seconds_between(self.status.clear_since, self.now))

    def dwell_left(self) -> float:
        """Seconds until this step may be left; a time of transition that is unknown is now."""
        wanted = parse_duration(self.spec.recovery.dwell)
        since = self.status.last_transition_time
        return wanted if since is None else max(0.0, wanted - seconds_between(since, self.now))

    def obstacle(self) -> str:
        """What stands between the gate and its next upward move, but for time; "" is nothing."""
        general = self.facts.obstacle()
        match self.status.state:
            case "Calibrating" if self.learns and self.status.allocation_percent > 0:
                return general or self.facts.uncalibrated()
            case "Suspended":
                return general or self.facts.unproven(halted=True)
            case "Recovering":
                return general or self.facts.uncalibrated() or self.facts.unproven(halted=False)
        return general


@dataclass(frozen=True, slots=True)
class Move:
    """Where a rule sends the gate. changes: further fields of the status."""

    to: GateState
    allocation: int
    reason: str
    message: str
    actor: str = OPERATOR
    strategy: str = ""
    trigger_at: datetime | None = None
    changes: Mapping[str, Any] = field(default_factory=dict)


def steps(spec: DriftGateSpec) -> list[int]:
    """The ramp: ascending, and 100 at its end whatever the spec says."""
    return sorted({*spec.recovery.steps, 100})


def recoveries(status: DriftGateStatus, now: datetime) -> int:
    """Recoveries begun on the UTC day of `now`."""
    return status.recoveries_today if status.recovery_day == day(now) else 0


def day(now: datetime) -> str:
    return now.date().isoformat()


def emergency_stop(s: Situation) -> Move | None:
    stop = s.spec.emergency_stop
    if stop is None or s.status.state == "Stopped":
        return None
    return Move("Stopped", 0, "EmergencyStop", stop.reason, stop.by, changes={"latched": True})


def created(s: Situation) -> Move | None:
    if s.status.state is not None:
        return None
    return Move("Calibrating", 0, "GateCreated", "no strategy trades before it is calibrated")


def resumed(s: Situation) -> Move | None:
    if s.status.state != "Stopped" or s.spec.emergency_stop or not (approval := s.approved):
        return None
    message = f"approved after the emergency stop of transition {s.status.sequence}"
    return Move("Suspended", 0, "Resumed", message, approval.by, changes={"latched": False})


def override_begins(s: Situation) -> Move | None:
    override, record = s.spec.override, s.ruling.record
    if not (s.ruling.starts and override and record) or s.status.state == "Stopped":
        return None
    kept = record.model_copy(update={"resume_state": s.ruling.resume})
    return Move(
        override.state,
        100 if override.state == "Open" else 0,
        "Override",
        override.reason,
        override.by,
        changes={"override": kept},
    )


def override_ends(s: Situation) -> Move | None:
    if not s.ruling.ended or s.status.state == "Stopped":
        return None
    over = "ended" if s.ruling.ended == "OverrideExpired" else "was removed"
    if s.status.state == "Suspended":
        message = f"the override {over}; recovery follows the evidence"
        return Move("Suspended", 0, s.ruling.ended, message)
    drift = s.facts.tripped if s.facts.enforce else None
    why = str(s.facts.faults[0]) if s.facts.faults else drift_message(drift) if drift else ""
    if s.ruling.resume == "Open" and not why:
        message = f"the override {over}; the gate was open before and the evidence is healthy"
        return Move("Open", 100, s.ruling.ended, message)
    why = why or f"the gate was {s.ruling.resume} before"
    return Move("Suspended", 0, s.ruling.ended, f"the override {over}; {why}")


def data_fault(s: Situation) -> Move | None:
    if not s.trading or not (fault := s.facts.suspending):
        return None
    return Move("Suspended", 0, fault.reason, str(fault), strategy=fault.strategy)


def drift(s: Situation) -> Move | None:
    if not s.facts.enforce or not (worst := s.facts.tripped):
        return None
    # A trip before the first step holds the detector's latch, which only a suspension resets:
    # without this the gate would calibrate for ever. An older one is of a gate of the same name.
    if not s.trading and not worst.current:
        return None
    return Move(
        "Suspended",
        0,
        "DriftDetected",
        drift_message(worst),
        strategy=worst.strategy,
        trigger_at=_tripped_at(worst),
    )


def drift_in_ramp(s: Situation) -> Move | None:
    if not s.facts.enforce or not (warned := s.facts.warned):
        return None
    message = f"suspected in the ramp: {drift_message(warned)}"
    return Move("Suspended", 0, "DriftInRamp", message, strategy=warned.strategy)


def first_learning_step(s: Situation) -> Move | None:
    if not s.learns or s.status.allocation_percent > 0 or s.obstacle():
        return None
    allocation = steps(s.spec)[0]
    return Move("Calibrating", allocation, "Learning", f"references are learned at {allocation} %")


def calibrated(s: Situation) -> Move | None:
    if (s.learns and s.status.allocation_percent == 0) or s.obstacle():
        return None
    source = "learned" if s.learns else "declared"
    return Move("Open", 100, "Calibrated", f"every strategy is calibrated; reference {source}")


def recovery_begins(s: Situation) -> Move | None:
    if s.clear_left() != 0.0 or s.obstacle():
        return None
    approval = s.approved
    by_person = s.status.latched or s.spec.recovery.mode == "RequireApproval"
    # The count is below the limit here: at the limit the status was latched before.
    if by_person and approval is None:
        return None
    first = steps(s.spec)[0]
    actor = approval.by if by_person and approval else OPERATOR
    message = f"clear for {s.spec.recovery.clear_for}" + (
        f"; transition {s.status.sequence} approved by {actor}" if by_person else ""
    )
    changes = {
        "latched": False,
        "recoveries_today": recoveries(s.status, s.now) + 1,
        "recovery_day": day(s.now),
    }
    if first == 100:
        return Move("Open", 100, "Recovered", message, actor, changes=changes)
    reason = "RecoveryApproved" if by_person else "RecoveryStarted"
    return Move("Recovering", first, reason, message, actor, changes=changes)


def next_step(s: Situation) -> Move | None:
    if s.dwell_left() > 0 or s.obstacle():
        return None
    allocation = next((a for a in steps(s.spec) if a > s.status.allocation_percent), 100)
    proof = f"drift is proved below its limits at {s.status.allocation_percent} %"
    if allocation == 100:
        return Move("Open", 100, "Recovered", proof)
    return Move("Recovering", allocation, "RecoveryStep", proof)


Rule = tuple[frozenset[GateState | None], Callable[[Situation], Move | None]]
ANY: frozenset[GateState | None] = frozenset(
    {None, "Calibrating", "Open", "Suspended", "Recovering", "Stopped"}
)
ACTIVE = frozenset[GateState | None]({"Calibrating", "Open", "Recovering"})

BY_PEOPLE: tuple[Rule, ...] = (
    (ANY - {"Stopped"}, emergency_stop),
    (frozenset({None}), created),
    (frozenset({"Stopped"}), resumed),
    (ANY - {None, "Stopped"}, override_begins),
    (ANY - {None, "Stopped"}, override_ends),
)
BY_EVIDENCE: tuple[Rule, ...] = (
    (ACTIVE, data_fault),
    (ACTIVE, drift),
    (frozenset({"Recovering"}), drift_in_ramp),
    (frozenset({"Calibrating"}), first_learning_step),
    (frozenset({"Calibrating"}), calibrated),
    (frozenset({"Suspended"}), recovery_begins),
    (frozenset({"Recovering"}), next_step),
)
"""Precedence from top to bottom. What evidence says counts only where no override is in force."""


def judge(s: Situation) -> Move | None:
    """The one move that is due, or None."""
    table = BY_PEOPLE if s.ruling.active else BY_PEOPLE + BY_EVIDENCE
    for states, rule in table:
        if s.status.state in states and (move := rule(s)):
            return move
    return None


def _tripped_at(standing: Standing) -> datetime | None:
    at = standing.evidence.tripped_at if standing.evidence else None
    if at is None or not math.isfinite(at) or at < 0:
        return None
    try:
        return datetime.fromtimestamp(at, UTC)
    except (OverflowError, OSError, ValueError):
        return None
