"""A gate's metrics, from what was decided about it."""

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus
from tidegate.api.transition import GateTransitionSpec
from tidegate.core.gate import Observation
from tidegate.engine.context import Context
from tidegate.engine.metrics import STATES
from tidegate.engine.queue import Key


def export(
    ctx: Context, key: Key, spec: DriftGateSpec, status: DriftGateStatus, observed: Observation
) -> None:
    """Set the gate's gauges."""
    metrics, labels = ctx.metrics, (key.namespace, key.name)
    for state in STATES:
        metrics.gate_state.labels(*labels, state).set(1 if status.state == state else 0)
    metrics.gate_allocation.labels(*labels).set(status.allocation_percent)
    metrics.drift_score.labels(*labels, "all").set(float(status.drift_score))
    for signal in status.signals:
        metrics.drift_score.labels(*labels, signal.family).set(float(signal.score))
    overridden = bool(spec.override and status.override and status.override.accepted)
    metrics.gate_override.labels(*labels).set(1 if overridden else 0)
    ages = [s.age if s.age is not None else s.pod_age for s in observed.strategies]
    metrics.gate_evidence_age.labels(*labels).set(max(ages, default=0.0))


def export_transition(ctx: Context, key: Key, record: GateTransitionSpec) -> None:
    """Count a transition; time a halt and a recovery."""
    metrics, labels = ctx.metrics, (key.namespace, key.name)
    metrics.gate_transitions.labels(
        *labels, record.from_state, record.to_state, record.reason
    ).inc()
    written = ctx.clock.now()
    halted = record.to_state in ("Suspended", "Stopped")
    if halted and record.from_allocation_percent > 0:
        seconds = (written - record.times.observed).total_seconds()
        metrics.gate_response.labels(*labels).observe(max(0.0, seconds))
    if halted and record.from_allocation_percent > 0 and key not in ctx.suspended_at:
        ctx.suspended_at[key] = ctx.clock.monotonic()
    if record.to_state == "Open" and key in ctx.suspended_at:
        took = ctx.clock.monotonic() - ctx.suspended_at.pop(key)
        metrics.gate_recovery.labels(*labels).observe(took)
