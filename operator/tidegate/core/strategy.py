"""A strategy's phase, conditions and permit, and what to do with its pod. Pure."""

from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Literal

from tidegate.api.meta import set_condition
from tidegate.api.quantity import parse_duration
from tidegate.api.strategy import (
    PermitStatus,
    Phase,
    Queue,
    StrategySpec,
    StrategyStatus,
)
from tidegate.api.wire import Evidence
from tidegate.core.admission import Action
from tidegate.core.podview import PodState, PodView

# A guard's word older than this is no word.
EVIDENCE_LIFE = 5.0


class PodAction(Enum):
    KEEP = "Keep"
    CREATE = "Create"
    DELETE = "Delete"


def pod_action(
    spec: StrategySpec,
    status: StrategyStatus,
    pod: PodView | None,
    *,
    wanted_hash: str,
    generation: int | None = None,
) -> PodAction:
    """CREATE means: admission may; whether it does is the plan's decision.

    With `generation` (the object's), a strategy that finished is not run again when its pod is
    collected or its node drained: only a change of its spec starts it anew.
    """
    if spec.suspend:
        deletable = pod is not None and pod.state is not PodState.TERMINATING
        return PodAction.DELETE if deletable else PodAction.KEEP
    if pod is None:
        return PodAction.KEEP if _finished(status, generation) else PodAction.CREATE
    if pod.state is PodState.TERMINATING:
        return PodAction.KEEP
    if pod.state is PodState.LOST or (pod.template_hash != wanted_hash):
        return PodAction.DELETE
    return PodAction.KEEP


def _finished(status: StrategyStatus, generation: int | None) -> bool:
    return status.phase == "Finished" and status.observed_generation == generation


@dataclass(frozen=True)
class Facts:
    """What was seen of one strategy.

    refused: why its pod can't be made, in the API's words. outdated: the pod is of an older spec.
    """

    action: Action | None = None
    pod: PodView | None = None
    evidence: Evidence | None = None
    evidence_age: float | None = None
    gates: tuple[str, ...] = ()
    refused: str = ""
    outdated: bool = False


def next_status(
    spec: StrategySpec, status: StrategyStatus, facts: Facts, *, generation: int, now: datetime
) -> StrategyStatus:
    """The status that the facts ask for. Idempotent; holds no number that moves by itself."""
    fresh = _fresh(facts)
    phase = _phase(spec, status, facts, generation, now)
    new = status.model_copy(
        update={
            "observed_generation": generation,
            "phase": phase,
            "pod": facts.pod.name if facts.pod else None,
            "queue": _queue(phase, facts),
            "permit": _permit(spec, facts, fresh),
            "started_at": _started(status, facts, now),
        }
    )
    conditions = status.conditions
    for kind, value, reason, message in _conditions(spec, phase, facts, fresh, new):
        conditions = set_condition(
            conditions, type=kind, status=value, reason=reason, message=message,
            generation=generation, now=now,
        )  # fmt: skip
    return new.model_copy(update={"conditions": conditions})


def _fresh(facts: Facts) -> Evidence | None:
    age = facts.evidence_age
    return facts.evidence if age is not None and age <= EVIDENCE_LIFE else None


def _runs(pod: PodView | None) -> bool:
    return pod is not None and pod.state in (PodState.RUNNING, PodState.READY)


def _started(status: StrategyStatus, facts: Facts, now: datetime) -> datetime | None:
    """When the pod was first ready: from then on steps are expected."""
    if facts.pod is None or not _runs(facts.pod):
        return None
    if status.started_at is None and facts.pod.state is PodState.READY:
        return now
    return status.started_at


def _phase(
    spec: StrategySpec, status: StrategyStatus, facts: Facts, generation: int, now: datetime
) -> Phase:
    pod = facts.pod
    if spec.suspend:
        return "Suspended"
    gone = pod is None or pod.state is PodState.TERMINATING
    if gone and _finished(status, generation):
        return "Finished"
    if pod is None or facts.outdated or pod.state in (PodState.LOST, PodState.TERMINATING):
        if facts.refused:
            return "Failed"
        admitted = facts.action is not None and facts.action.kind == "Admit"
        return "Admitted" if admitted and pod is None else "Queued"
    if pod.state is PodState.SUCCEEDED:
        return "Finished"
    if pod.state is PodState.FAILED:
        return "Failed"
    if pod.state is PodState.PENDING:
        return "Admitted"
    if pod.state is PodState.RUNNING and status.phase in (None, "Queued", "Admitted"):
        return "Admitted"
    return "Stalled" if _stalled(spec, status, facts, now) else "Running"


def _stalled(spec: StrategySpec, status: StrategyStatus, facts: Facts, now: datetime) -> bool:
    deadline = parse_duration(spec.limits.progress_deadline)
    evidence, age = facts.evidence, facts.evidence_age
    if evidence is not None and age is not None and evidence.step_age is not None:
        # While evidence comes, the guard's own reckoning; what has come late is late itself.
        return evidence.step_age + (age if age > EVIDENCE_LIFE else 0.0) > deadline
    if status.phase == "Stalled":
        return True  # until a step is seen
    # No word of any step: a new leader, a guard started anew, or a strategy that never stepped.
    # Progressing tells since when that is so, without a clock of its own in the status.
    since = status.started_at or now
    known = next((c for c in status.conditions if c.type == "Progressing"), None)
    if known is not None:
        since = max(since, known.last_transition_time if known.status == "Unknown" else now)
    return (now - since).total_seconds() > deadline


def _queue(phase: Phase, facts: Facts) -> Queue | None:
    if phase != "Queued" or facts.action is None or facts.action.position < 1:
        return None
    return Queue(position=facts.action.position, waiting_for=facts.action.waiting_for)


def _permit(spec: StrategySpec, facts: Facts, fresh: Evidence | None) -> PermitStatus | None:
    if not _runs(facts.pod):
        return None
    if fresh is None:
        return PermitStatus(
            state="Halted", allocation_percent=0, gates=facts.gates, reason="Unknown"
        )
    said = fresh.permit
    return PermitStatus(
        state=said.state,
        allocation_percent=said.allocation_percent,
        gates=facts.gates,
        reason=said.reason,
    )


_Row = tuple[str, bool | None, str, str]


def _conditions(
    spec: StrategySpec, phase: Phase, facts: Facts, fresh: Evidence | None, new: StrategyStatus
) -> list[_Row]:
    pod = facts.pod
    return [
        _reserved(spec, phase, facts),
        _admitted(spec, phase, facts),
        _ready(pod),
        _trading(spec, phase, new),
        _progressing(phase, spec, fresh),
    ]


def _reserved(spec: StrategySpec, phase: Phase, facts: Facts) -> _Row:
    kind = "QuotaReserved"
    pod = facts.pod
    if pod is not None and pod.state not in (PodState.LOST, PodState.SUCCEEDED, PodState.FAILED):
        return kind, True, "PodCharged", "the pod is counted by the namespace's quotas"
    if spec.suspend:
        return kind, False, "Suspended", "spec.suspend is true"
    if pod is not None and pod.state is not PodState.LOST:
        return kind, False, "PodEnded", "the pod has ended"
    words: dict[Literal["Admit", "Wait", "Exceeds", "Lacks"], str] = {
        "Admit": "Reserved", "Wait": "WaitingForQuota", "Exceeds": "ExceedsQuota",
        "Lacks": "QuotaRequires",
    }  # fmt: skip
    if pod is None and phase == "Finished":
        return kind, False, "PodEnded", "the pod has ended and is gone"
    if facts.action is None:
        return kind, None, "Pending", "not planned yet"
    fits = facts.action.kind == "Admit"
    return kind, fits, words[facts.action.kind], facts.action.message


def _admitted(spec: StrategySpec, phase: Phase, facts: Facts) -> _Row:
    if facts.refused and facts.pod is None:
        return "Admitted", False, "TemplateRefused", facts.refused
    if spec.suspend:
        return "Admitted", False, "Suspended", "spec.suspend is true"
    if phase == "Queued":
        return "Admitted", False, "Queued", "waits for room in the namespace's quotas"
    return "Admitted", True, "PodCreated", "the pod was created"


def _ready(pod: PodView | None) -> _Row:
    if pod is None:
        return "PodReady", False, "NoPod", "there is no pod"
    if pod.state is PodState.READY:
        return "PodReady", True, "Ready", f"pod {pod.name} is ready"
    return "PodReady", False, pod.reason or pod.state.value, pod.message


def _trading(spec: StrategySpec, phase: Phase, new: StrategyStatus) -> _Row:
    kind = "Trading"
    permit = new.permit
    if permit is None:
        return kind, False, "NotRunning", f"the strategy is {phase}"
    if spec.mode == "Paper":
        return kind, False, "PaperMode", "spec.mode is Paper: no live order is sent"
    if permit.state == "Halted":
        return kind, False, permit.reason or "Halted", "its permit is Halted"
    return kind, True, permit.state, f"live orders at {permit.allocation_percent} %"


def _progressing(phase: Phase, spec: StrategySpec, fresh: Evidence | None) -> _Row:
    kind = "Progressing"
    if phase == "Stalled":
        deadline = spec.limits.progress_deadline
        return kind, False, "Stalled", f"no step for more than {deadline} (limits.progressDeadline)"
    if phase != "Running":
        return kind, None, "NotRunning", f"the strategy is {phase}"
    if fresh is None or fresh.step_age is None:
        return kind, None, "NoEvidence", "no step has been reported yet"
    return kind, True, "Stepping", "steps are reported within limits.progressDeadline"
