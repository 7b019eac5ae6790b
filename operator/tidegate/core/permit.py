"""A guard's own permit: the least that its gates, its own test and the control plane allow."""

from dataclasses import dataclass
from typing import Literal

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus, OnFault
from tidegate.api.quantity import parse_duration
from tidegate.api.strategy import OrphanedBy, PermitState
from tidegate.core.gate_override import held
from tidegate.core.gate_rules import steps


@dataclass(frozen=True, slots=True)
class OwnTest:
    """What the guard itself knows for one gate. faults: kinds (noData, stale, invalid) that hold
    now. The default is that of a guard that knows nothing yet."""

    tripped: bool = False
    calibrated: bool = False
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GoverningGate:
    """A gate that selects this strategy; status None: it has none yet."""

    name: str
    spec: DriftGateSpec
    status: DriftGateStatus | None
    test: OwnTest = OwnTest()


@dataclass(frozen=True, slots=True)
class PermitInputs:
    """Everything a permit depends on.

    found: the Strategy exists. heartbeat_age: seconds since the heartbeat Lease was last seen to
    change, None if it never was. synced: gates, Strategy and Lease were listed once. existing:
    names of all gates of the namespace, whatever they select.
    """

    mode: Literal["Paper", "Live"]
    synced: bool
    found: bool
    suspend: bool
    heartbeat_age: float | None
    gates: tuple[GoverningGate, ...] = ()
    orphaned_by: tuple[OrphanedBy, ...] = ()
    existing: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class PermitDecision:
    """allocation in percent; gates: names of all that govern; gate: the one that decided, if one.
    reason is one word, stable; `str` of the decision is for people."""

    state: PermitState
    allocation: int
    reason: str
    gates: tuple[str, ...] = ()
    gate: str = ""

    def __str__(self) -> str:
        by = f" by {self.gate}" if self.gate else ""
        return f"{self.state} {self.allocation} %: {self.reason}{by}"


def decide_permit(inputs: PermitInputs) -> PermitDecision:
    """The permit for `inputs`; Halted for anything that is unknown. Never raises."""
    names = tuple(sorted(gate.name for gate in inputs.gates))
    if halted := _halted(inputs):
        return PermitDecision("Halted", 0, halted, names)
    verdicts = [(*_allowed(gate), gate.name) for gate in inputs.gates]
    for orphan in inputs.orphaned_by:
        gone = orphan.gate not in inputs.existing or not inputs.gates
        if orphan.on_delete == "Halt" and gone:
            verdicts.append((0, "GateDeleted", orphan.gate))
    if not verdicts:
        if inputs.orphaned_by:
            return PermitDecision("Active", 100, "GateReleased")
        return PermitDecision("Halted", 0, "NoGate")
    allocation, reason, gate = min(verdicts, key=lambda verdict: verdict[0])
    return PermitDecision("Active" if allocation else "Halted", allocation, reason, names, gate)


def _halted(inputs: PermitInputs) -> str:
    """Why nothing may be traded whatever the gates say; empty when they decide."""
    if not inputs.synced:
        return "NotSynced"
    if not inputs.found:
        return "StrategyNotFound"
    if inputs.suspend:
        return "StrategySuspended"
    if inputs.mode != "Live":
        return "PaperMode"
    if inputs.heartbeat_age is None:
        return "ControlPlaneLost"
    ttls = [parse_duration(gate.spec.permit_ttl) for gate in inputs.gates]
    lost = not inputs.heartbeat_age <= min(ttls or [_DEFAULT_TTL])
    holds = bool(inputs.gates) and all(
        gate.spec.on_fault.control_plane_lost == "Hold" for gate in inputs.gates
    )
    return "ControlPlaneLost" if lost and not holds else ""


_DEFAULT_TTL = parse_duration(DriftGateSpec().permit_ttl)


def _allowed(gate: GoverningGate) -> tuple[int, str]:
    """What one gate and the guard's own test for it allow: percent and reason."""
    spec, status, test = gate.spec, gate.status, gate.test
    if spec.emergency_stop is not None:
        # Not waiting for the operator: the wish is plain and needs no evidence.
        return 0, "EmergencyStop"
    if status is None or status.state is None:
        return 0, "GateNew"
    if status.state in ("Stopped", "Suspended"):
        return 0, f"Gate{status.state}"
    if spec.override and spec.override.state == "Open" and status.state == "Open" and held(status):
        return 100, "Override"
    if test.tripped and spec.detection.mode == "Enforce":
        return 0, "DriftDetected"
    actions: dict[str, OnFault] = {
        "noData": spec.on_fault.no_data,
        "stale": spec.on_fault.stale,
        "invalid": spec.on_fault.invalid,
    }
    for kind in test.faults:
        if actions.get(kind, "Suspend") == "Suspend":
            return 0, f"Evidence{kind[:1].upper()}{kind[1:]}"
    first = steps(spec)[0]
    if (
        not test.calibrated
        and spec.reference.declared is None
        and first < status.allocation_percent
    ):
        return first, "Learning"
    return status.allocation_percent, f"Gate{status.state}"
