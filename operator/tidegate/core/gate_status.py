"""What a gate's status says besides its state: conditions, scores, messages, clear_since."""

from collections.abc import Iterator
from dataclasses import replace

from tidegate.api.driftgate import DriftGateStatus
from tidegate.api.meta import set_condition
from tidegate.core.gate_evidence import drift_score, worst_signals
from tidegate.core.gate_override import seconds_between
from tidegate.core.gate_rules import Situation, day, recoveries

Row = tuple[str, bool | None, str, str]
CLOSED = ("Suspended", "Stopped")


def prepare(s: Situation) -> DriftGateStatus:
    """The status brought up to date with what needs no transition: the override's ruling, the
    count of the day, since when the evidence is clear, the latch."""
    status, now = s.status, s.now
    changes: dict[str, object] = {"override": s.ruling.record}
    if status.state in CLOSED and status.allocation_percent:
        changes["allocation_percent"] = 0
    if status.state is not None and status.last_transition_time is None:
        changes["last_transition_time"] = now
    if status.recovery_day != day(now):
        changes.update(recoveries_today=0, recovery_day="")
    clear = status.state == "Suspended" and not s.ruling.active and not s.obstacle()
    since = status.clear_since
    if not clear:
        since = None
    elif since is None or seconds_between(since, now) < 0:
        # A time ahead of ours is another leader's clock: the wait begins anew.
        since = now
    changes["clear_since"] = since
    status = status.model_copy(update=changes)
    if _exhausted(s, status):
        status = status.model_copy(update={"latched": True})
    return status


def _exhausted(s: Situation, status: DriftGateStatus) -> bool:
    """Whether recovery is due but was begun too often today."""
    return (
        s.spec.recovery.mode == "Auto"
        and replace(s, status=status).clear_left() == 0.0
        and recoveries(status, s.now) >= s.spec.recovery.max_per_day
    )


def rows(s: Situation) -> Iterator[Row]:
    """Every condition: type, whether it holds (None: unknown), reason, message."""
    yield _ready(s)
    yield _calibrated(s)
    yield _selected(s)
    yield _fresh(s)
    yield _drift(s)
    if (record := s.status.override) is not None:
        reason = record.reason or ("Accepted" if record.accepted else "Refused")
        yield "OverrideAccepted", record.accepted, reason[:1024], record.message
    yield _latched(s)


def _ready(s: Situation) -> Row:
    ready = s.status.state == "Open" and s.status.allocation_percent == 100
    return "Ready", ready, s.status.state or "New", waiting(s)


def _calibrated(s: Situation) -> Row:
    standings = s.facts.standings
    if not standings:
        return "Calibrated", None, "NoGuards", "no strategy with a running guard"
    late = next((x for x in standings if not (x.evidence and x.evidence.calibrated)), None)
    if late is not None:
        return "Calibrated", False, "Learning", f"{late.strategy} has no reference yet"
    return "Calibrated", True, "Learned" if s.learns else "Declared", ""


def _selected(s: Situation) -> Row:
    if s.status.selected > 0:
        return "StrategiesSelected", True, "Selected", ""
    message = "spec.strategies matches no Strategy of this namespace"
    return "StrategiesSelected", False, "NoStrategies", message


def _fresh(s: Situation) -> Row:
    standings = s.facts.standings
    if not standings:
        return "EvidenceFresh", None, "NoGuards", "no strategy with a running guard"
    if silent := next((x.silence for x in standings if x.silence), None):
        return "EvidenceFresh", False, silent.reason, str(silent)
    if late := next((x for x in standings if x.pending), None):
        return "EvidenceFresh", None, "Pending", f"{late.strategy}: {late.pending}"
    if fault := next((f for x in standings for f in x.faults), None):
        return "EvidenceFresh", False, fault.reason, str(fault)
    return "EvidenceFresh", True, "Fresh", ""


def _drift(s: Situation) -> Row:
    facts = s.facts
    # Without the estimate, which moves with each event: that stands in status.signals.
    if tripped := facts.tripped:
        return "DriftDetected", True, "Tripped", f"{tripped.strategy}: see status.signals"
    if not any(x.evidence for x in facts.standings):
        return "DriftDetected", None, "NoEvidence", "no evidence to judge"
    if warned := facts.warned:
        return "DriftDetected", False, "Warning", f"{warned.strategy}: see status.signals"
    return "DriftDetected", False, "NoDrift", ""


def _latched(s: Situation) -> Row:
    spec, status = s.spec, s.status
    if not status.latched:
        return "Latched", False, "NotLatched", ""
    approve = (
        f"set spec.approval to {{sequence: {status.sequence}, by: <your name>}} to let it go on"
    )
    if status.state == "Stopped":
        stopped = "remove spec.emergencyStop, then " if spec.emergency_stop else ""
        return "Latched", True, "EmergencyStop", stopped + approve
    limit = f"{spec.recovery.max_per_day} recoveries a day are allowed; "
    return "Latched", True, "TooManyRecoveries", limit + approve


def waiting(s: Situation) -> str:
    """What the gate waits for, in words that hold until that changes."""
    status = s.status
    if s.ruling.active and status.state != "Stopped":
        return "an override is in force"
    match status.state:
        case None | "Open":
            return ""
        case "Stopped":
            return "waiting for an approval; see the condition Latched"
        case "Recovering":
            step = f"at {status.allocation_percent} %: "
            return step + (s.obstacle() or f"holding for {s.spec.recovery.dwell}")
        case "Suspended":
            if found := s.obstacle():
                return found
            if s.clear_left():
                return f"clear; holding for {s.spec.recovery.clear_for}"
            return f"waiting for spec.approval of sequence {status.sequence}"
        case "Calibrating":
            return s.obstacle()


def describe(s: Situation, *, selected: int, generation: int) -> DriftGateStatus:
    """`s.status` with everything that only tells: scores, conditions, the message of waiting."""
    status = s.status.model_copy(
        update={
            "observed_generation": generation,
            "selected": selected,
            "drift_score": drift_score(s.facts),
            "signals": worst_signals(s.facts),
        }
    )
    s = replace(s, status=status)
    following = s.ruling.active and status.state != "Stopped"
    if status.state in ("Calibrating", "Recovering") and not following:
        status = status.model_copy(update={"message": waiting(s) or status.message})
    conditions = status.conditions
    if status.override is None:
        conditions = tuple(c for c in conditions if c.type != "OverrideAccepted")
    for kind, holds, reason, message in rows(s):
        conditions = set_condition(
            conditions,
            type=kind,
            status=holds,
            reason=reason,
            message=message[:4096],
            generation=generation,
            now=s.now,
        )
    return status.model_copy(update={"conditions": conditions})
