"""The gate's decision: `decide` is frozen, total and idempotent.

`gate_evidence` judges what is known of each strategy, `gate_override` what a person may, and
`gate_rules` is the transition table. Here they come together: one transition at most per call, so
that each has its own audit record. A decision without a transition, made again from its own status
with the same observation and time, changes nothing; one with a transition is called again at once.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus, SignalStatus
from tidegate.api.transition import RecordedState
from tidegate.core.gate_evidence import (
    Observation,
    StrategyEvidence,
    drift_score,
    weigh,
    worst_signals,
)
from tidegate.core.gate_override import rule, seconds_between
from tidegate.core.gate_rules import Move, Situation, judge
from tidegate.core.gate_status import describe, prepare

__all__ = ["Decision", "Observation", "StrategyEvidence", "Transition", "decide"]

EVIDENCE_INTERVAL = 0.5
"""Guards tell new proofs this often; a gate that waits for proof looks again as often."""
_PAST_DUE = 0.001
"""Wake just after a time is due: at the very moment it may not have come yet."""


@dataclass(frozen=True, slots=True)
class Transition:
    """One step of the chain, to be recorded before the status is written. Allocations in percent.

    trigger_at: when the guard saw what decided, by its wall clock; None where no event did.
    """

    from_state: RecordedState
    to_state: RecordedState
    from_allocation: int
    allocation: int
    reason: str
    message: str
    actor: str
    sequence: int
    drift_score: str = "0.00"
    signals: tuple[SignalStatus, ...] = ()
    strategy: str = ""
    trigger_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """requeue_after: seconds until time alone may change the decision; 0 after a transition."""

    status: DriftGateStatus
    transition: Transition | None
    requeue_after: float | None


def decide(
    spec: DriftGateSpec,
    status: DriftGateStatus,
    observation: Observation,
    now: datetime,
    *,
    generation: int,
) -> Decision:
    """What becomes of a gate at `now` (UTC). Never raises for what the models accept."""
    # The ruling is of the status as read: prepared, it no longer knows what has just ended.
    prepared = _prepared(_situation(spec, status, observation, now))
    move = judge(prepared)
    if move is None:
        final = _described(prepared, observation, generation)
        return Decision(final.status, None, _due(final))
    transition = _transition(prepared, move)
    moved = _moved(prepared.status, transition, move, now)
    settled = _prepared(_situation(spec, moved, observation, now))
    return Decision(_described(settled, observation, generation).status, transition, 0.0)


def _situation(
    spec: DriftGateSpec, status: DriftGateStatus, observation: Observation, now: datetime
) -> Situation:
    facts = weigh(spec, status, observation)
    return Situation(spec, status, facts, rule(spec, status, now), now)


def _prepared(s: Situation) -> Situation:
    return replace(s, status=prepare(s))


def _described(s: Situation, observation: Observation, generation: int) -> Situation:
    return replace(s, status=describe(s, selected=observation.selected, generation=generation))


def _transition(s: Situation, move: Move) -> Transition:
    return Transition(
        from_state=s.status.state or "None",
        to_state=move.to,
        from_allocation=s.status.allocation_percent,
        allocation=move.allocation,
        reason=move.reason,
        message=move.message[:4096],
        actor=move.actor,
        sequence=s.status.sequence + 1,
        drift_score=drift_score(s.facts),
        signals=worst_signals(s.facts),
        strategy=move.strategy,
        trigger_at=move.trigger_at,
    )


def _moved(
    status: DriftGateStatus, transition: Transition, move: Move, now: datetime
) -> DriftGateStatus:
    return status.model_copy(
        update={
            **move.changes,
            "state": move.to,
            "allocation_percent": move.allocation,
            "reason": transition.reason,
            "message": transition.message,
            "sequence": transition.sequence,
            "last_transition_time": now,
            "clear_since": None,
        }
    )


def _due(s: Situation) -> float | None:
    """Seconds until something changes by time alone; None when nothing will."""
    times = [t for t in _times(s) if t > 0 and math.isfinite(t)]
    return min(times) + _PAST_DUE if times else None


def _times(s: Situation) -> Iterator[float]:
    status = s.status
    for standing in s.facts.standings:
        if standing.due is not None:
            yield standing.due
    if s.ruling.active and s.spec.override:
        yield seconds_between(s.now, s.spec.override.expires_at)
        return
    if status.state == "Suspended":
        yield s.clear_left() or 0.0
    if status.state == "Recovering":
        yield s.dwell_left()
    if s.facts.standings and s.obstacle():
        # Proof ripens event by event and silence ends: neither is announced.
        yield EVIDENCE_INTERVAL
