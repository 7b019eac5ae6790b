"""From what the guard knows to the permit it publishes, and for how long. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tidegate.api.driftgate import DriftGateSpec
from tidegate.api.quantity import parse_duration, parse_duration_ms
from tidegate.api.strategy import OrphanedBy, PermitState
from tidegate.api.wire import Fault
from tidegate.core.permit import GoverningGate, OwnTest, PermitInputs, decide_permit
from tidegate.guard.governing import Gate

NS = 1_000_000_000
_DEFAULT = DriftGateSpec()


@dataclass(frozen=True, slots=True)
class Verdict:
    """`allocation` in percent; `life` seconds from now until the permit must be renewed."""

    state: PermitState
    allocation: int
    reason: str
    gates: tuple[str, ...]
    life: float


def stale_after_ns(spec: DriftGateSpec) -> int:
    return parse_duration_ms(spec.stale_after) * 1_000_000


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What the API told. `heartbeat_age` in seconds, None when no renewal was ever seen."""

    paper: bool
    synced: bool
    found: bool
    suspend: bool
    heartbeat_age: float | None
    gates: Sequence[Gate]
    existing: Collection[str]
    orphaned_by: Sequence[OrphanedBy]


def judge(known: Knowledge, faults: Mapping[str, tuple[Fault, ...]], *, at_most: float) -> Verdict:
    """The permit, for at most `at_most` seconds and never beyond the heartbeat's life."""
    decision = decide_permit(
        PermitInputs(
            mode="Paper" if known.paper else "Live",
            synced=known.synced,
            found=known.found,
            suspend=known.suspend,
            heartbeat_age=known.heartbeat_age,
            gates=tuple(_governing(gate, faults.get(gate.name, ())) for gate in known.gates),
            orphaned_by=tuple(known.orphaned_by),
            existing=frozenset(known.existing),
        )
    )
    life = at_most
    if decision.state != "Halted" and not _holds(known.gates):
        ttls = [parse_duration(gate.spec.permit_ttl) for gate in known.gates]
        ttl = min(ttls, default=parse_duration(_DEFAULT.permit_ttl))
        # decide_permit halts without an age, so there is one here.
        life = max(0.0, min(at_most, ttl - (known.heartbeat_age or 0.0)))
    reason = f"{decision.reason} ({decision.gate})" if decision.gate else decision.reason
    return Verdict(decision.state, decision.allocation, reason, decision.gates, life)


def _holds(gates: Sequence[Gate]) -> bool:
    """Whether every gate lets its permit outlive the operator, as decide_permit has it."""
    return bool(gates) and all(g.spec.on_fault.control_plane_lost == "Hold" for g in gates)


def _governing(gate: Gate, faults: tuple[Fault, ...]) -> GoverningGate:
    if gate.watch is None:
        # Unreadable: without a status decide_permit gives it nothing.
        return GoverningGate(gate.name, gate.spec, None)
    return GoverningGate(
        gate.name,
        gate.spec,
        gate.status,
        OwnTest(
            tripped=gate.watch.tripped,
            calibrated=gate.watch.calibrated,
            faults=tuple(dict.fromkeys(fault.kind for fault in faults)),
        ),
    )
