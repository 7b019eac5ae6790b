"""What is known about a gate's strategies: fresh, pending or faulty, before any rule judges it."""

import math
from dataclasses import dataclass
from typing import get_args

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus, Family, OnFault, SignalStatus
from tidegate.api.quantity import parse_duration
from tidegate.api.wire import GateEvidence

POD_GRACE = 10.0
"""Seconds that a new guard may be silent before silence is a fault."""
LEADER_GRACE = 5.0
"""Seconds that a new leader may take to connect to every guard."""
PROVEN = 1e-3
"""A reversed test below this has shown that drift is below the signal's limit."""
FAMILIES: tuple[Family, ...] = get_args(Family)
HALTED_FAMILIES: frozenset[str] = frozenset({"market", "latency"})
"""The families that give evidence while nothing is traded."""


@dataclass(frozen=True, slots=True)
class StrategyEvidence:
    """One expected strategy. connected: evidence was ever received from this pod; age: seconds
    since it was; pod_age: seconds since the guard container started."""

    strategy: str
    connected: bool
    age: float | None
    pod_age: float
    evidence: GateEvidence | None


@dataclass(frozen=True, slots=True)
class Observation:
    """strategies: those with a running guard; selected: all that the selector matches;
    observing_for: seconds since this operator leads."""

    strategies: tuple[StrategyEvidence, ...] = ()
    selected: int = 0
    observing_for: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """A data fault of one strategy and what the spec says to do about it."""

    strategy: str
    reason: str
    message: str
    action: OnFault

    def __str__(self) -> str:
        return f"{self.strategy}: {self.message}"


@dataclass(frozen=True, slots=True)
class Standing:
    """One expected strategy as judged.

    pending: why it can't be counted on yet, empty when it can. unconfirmed: its evidence is of
    another transition. silence: the fault of its connection, if that is one. due: seconds until
    time alone changes the verdict.
    """

    strategy: str
    evidence: GateEvidence | None
    pending: str = ""
    unconfirmed: bool = False
    silence: Finding | None = None
    faults: tuple[Finding, ...] = ()
    due: float | None = None

    @property
    def current(self) -> bool:
        """Fresh evidence about the gate's present transition."""
        return (
            self.evidence is not None
            and not self.pending
            and not self.unconfirmed
            and self.silence is None
        )

    @property
    def score(self) -> float:
        return bounded(self.evidence.score) if self.evidence else 0.0

    @property
    def calibrated(self) -> bool:
        return self.current and self.evidence is not None and self.evidence.calibrated

    @property
    def tripped(self) -> bool:
        """A trip is a latch: it counts of whatever transition and however old."""
        return self.evidence is not None and self.evidence.tripped

    @property
    def warned(self) -> bool:
        return self.current and self.evidence is not None and self.evidence.warned

    def unproven(self, families: tuple[Family, ...]) -> list[Family]:
        """The families that lack proof of being below their limit; unknown is unproven."""
        proofs = {s.family: s.recovery_p for s in self.evidence.signals} if self.evidence else {}
        return [f for f in families if not (self.current and 0 <= proofs.get(f, 1.0) < PROVEN)]


@dataclass(frozen=True, slots=True)
class Facts:
    """All standings under one spec and transition."""

    standings: tuple[Standing, ...]
    families: tuple[Family, ...]
    enforce: bool

    @property
    def faults(self) -> list[Finding]:
        """Faults that count, the gravest action first; those of action Open are ignored."""
        found = [f for s in self.standings for f in s.faults if f.action != "Open"]
        return sorted(found, key=lambda f: f.action != "Suspend")

    @property
    def suspending(self) -> Finding | None:
        return next((f for f in self.faults if f.action == "Suspend"), None)

    @property
    def tripped(self) -> Standing | None:
        """The strategy whose trip is the worst."""
        found = [s for s in self.standings if s.tripped]
        return max(found, key=lambda s: s.score, default=None)

    @property
    def warned(self) -> Standing | None:
        return next((s for s in self.standings if s.warned), None)

    def obstacle(self) -> str:
        """What forbids every opening and upward move; empty when nothing does.

        Never a number that moves by itself: the text stands in the status.
        """
        if not self.standings:
            return "waiting for a strategy with a running guard"
        if late := next((s for s in self.standings if s.pending), None):
            return f"waiting for {late.strategy}: {late.pending}"
        if faults := self.faults:
            return f"{faults[0]} ({faults[0].reason})"
        if self.enforce and (bad := self.tripped or self.warned):
            return f"{bad.strategy}: drift {'is detected' if bad.tripped else 'is suspected'}"
        # Last and without names: each guard confirms within milliseconds.
        if any(s.unconfirmed for s in self.standings):
            return "waiting for the guards to confirm the last transition"
        if not any(s.current for s in self.standings):
            return "waiting for the evidence of at least one strategy"
        return ""

    def uncalibrated(self) -> str:
        late = next((s for s in self.standings if not s.calibrated), None)
        return f"{late.strategy} is still learning its reference" if late else ""

    def unproven(self, *, halted: bool) -> str:
        """Who still owes proof that the drift is gone. While halted only market and latency can
        prove anything, and a strategy without a reference is let into the ramp to learn one."""
        families = tuple(f for f in self.families if not halted or f in HALTED_FAMILIES)
        for standing in self.standings:
            if not standing.current:
                return f"waiting for {standing.strategy}: no current evidence"
            if halted and not standing.calibrated:
                continue
            if lacking := standing.unproven(families):
                names = ", ".join(lacking)
                return f"{standing.strategy} has not proved yet that {names} is below its limit"
        return ""


def weigh(spec: DriftGateSpec, status: DriftGateStatus, observation: Observation) -> Facts:
    """Judge every expected strategy against the gate's present transition."""
    return Facts(
        standings=tuple(
            _standing(spec, status.sequence, one, observation.observing_for)
            for one in observation.strategies
        ),
        families=tuple(dict.fromkeys(signal.family for signal in spec.signals)),
        enforce=spec.detection.mode == "Enforce",
    )


def _standing(
    spec: DriftGateSpec, sequence: int, one: StrategyEvidence, observing_for: float
) -> Standing:
    found = one.evidence
    if not one.connected or one.age is None:
        silent = one.pod_age >= POD_GRACE and observing_for >= LEADER_GRACE
        if not silent:
            due = max(POD_GRACE - one.pod_age, LEADER_GRACE - observing_for)
            return Standing(one.strategy, None, pending="its guard has not reported yet", due=due)
        fault = Finding(
            one.strategy, "EvidenceNoData", "its guard never reported", spec.on_fault.no_data
        )
        return Standing(one.strategy, None, silence=fault, faults=(fault,))
    faults = tuple(_reported(spec, one.strategy, found)) if found else ()
    stale_after = parse_duration(spec.stale_after)
    # Written so that an age that is no number counts as stale.
    if not one.age <= stale_after:
        fault = Finding(
            one.strategy,
            "EvidenceStale",
            f"no evidence for more than {spec.stale_after}",
            spec.on_fault.stale,
        )
        return Standing(one.strategy, found, silence=fault, faults=(fault, *faults))
    if found is None:
        pending = "its guard does not know this gate yet"
        return Standing(one.strategy, None, pending=pending, due=stale_after - one.age)
    return Standing(
        one.strategy,
        found,
        unconfirmed=found.sequence != sequence,
        faults=faults,
        due=stale_after - one.age,
    )


def _reported(spec: DriftGateSpec, strategy: str, evidence: GateEvidence) -> list[Finding]:
    actions: dict[str, OnFault] = {
        "noData": spec.on_fault.no_data,
        "stale": spec.on_fault.stale,
        "invalid": spec.on_fault.invalid,
    }
    return [
        Finding(
            strategy,
            (fault.reason or f"Evidence{fault.kind[:1].upper()}{fault.kind[1:]}")[:128],
            (fault.message or fault.reason or fault.kind)[:1024],
            actions.get(fault.kind, "Suspend"),
        )
        for fault in evidence.faults
    ]


def bounded(score: float) -> float:
    """A score within 0 and 1; one that is no number is the worst, not the best."""
    return 1.0 if math.isnan(score) else min(max(score, 0.0), 1.0)


def bps(value: float | None) -> str | None:
    """Basis points with one decimal; None for what is unknown."""
    if value is None or not math.isfinite(value):
        return None
    # Never longer than the API allows: a venue's price of 1e-300 makes for absurd ratios.
    text = f"{value:.1f}" if abs(value) < 1e12 else f"{value:.1e}"
    return "0.0" if text == "-0.0" else text


def drift_score(facts: Facts) -> str:
    """The worst score of any strategy, two decimals."""
    return f"{max((s.score for s in facts.standings), default=0.0):.2f}"


def worst_signals(facts: Facts) -> tuple[SignalStatus, ...]:
    """The worst strategy of each family that the gate watches."""
    rows = []
    for family in facts.families:
        found = [
            (standing.strategy, signal)
            for standing in facts.standings
            if standing.evidence
            for signal in standing.evidence.signals
            if signal.family == family
        ]
        if not found:
            continue
        strategy, signal = max(found, key=lambda row: bounded(row[1].score))
        rows.append(
            SignalStatus(
                family=family,
                score=f"{bounded(signal.score):.2f}",
                estimate_bps=bps(signal.estimate_bps),
                low_bps=bps(signal.low_bps),
                high_bps=bps(signal.high_bps),
                minimum_detectable_bps=bps(signal.minimum_detectable_bps),
                events=signal.events,
                strategy=strategy,
            )
        )
    return tuple(rows)


def drift_message(standing: Standing) -> str:
    """Strategy, worst family, estimate with interval."""
    signals = standing.evidence.signals if standing.evidence else ()
    worst = max(signals, key=lambda s: bounded(s.score), default=None)
    if worst is None:
        return f"{standing.strategy}: drift"
    estimate, low, high = bps(worst.estimate_bps), bps(worst.low_bps), bps(worst.high_bps)
    size = f" of {estimate} bps" if estimate else " of unknown size"
    span = f" ({low} to {high})" if low and high else ""
    return f"{standing.strategy}: {worst.family} drift{size}{span}"[:1024]
