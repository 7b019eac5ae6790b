"""Short ways to say what a gate sees; the defaults are healthy."""

from datetime import UTC, datetime, timedelta
from typing import Any

from tidegate.api.driftgate import (
    Approval,
    Declared,
    DeclaredFamily,
    DriftGateSpec,
    DriftGateStatus,
    EmergencyStop,
    Override,
    Reference,
    Signal,
)
from tidegate.api.wire import Fault, GateEvidence, SignalEvidence
from tidegate.core.gate import Decision, Observation, StrategyEvidence, Transition, decide

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC)
PRICE = Signal(family="price", tolerance_bps=5, limit_bps=100)
MARKET = Signal(family="market", tolerance_bps=1000, limit_bps=5000)
DECLARED = Reference(
    declared=Declared(
        price=DeclaredFamily(scale_bps="1"),
        volume=DeclaredFamily(scale_bps="1"),
        latency=DeclaredFamily(scale_bps="1"),
        market=DeclaredFamily(scale_bps="1"),
    )
)


def spec(**fields: Any) -> DriftGateSpec:
    return DriftGateSpec(**{"reference": DECLARED, "signals": (PRICE, MARKET), **fields})


def evidence(sequence: int = 0, *, p: float = 1e-4, **fields: Any) -> GateEvidence:
    signals = tuple(
        SignalEvidence(
            family, score=0.1, estimate_bps=1.25, low_bps=-1.0, high_bps=3.0, recovery_p=p
        )
        for family in ("price", "volume", "latency", "market")
    )
    return GateEvidence(
        **{"gate": "g", "sequence": sequence, "calibrated": True, "signals": signals, **fields}
    )


def seen(found: GateEvidence | None, name: str = "a", **fields: Any) -> StrategyEvidence:
    healthy = {"connected": True, "age": 0.1, "pod_age": 60.0}
    return StrategyEvidence(strategy=name, evidence=found, **{**healthy, **fields})


def observing(*strategies: StrategyEvidence, observing_for: float = 60.0) -> Observation:
    return Observation(strategies, selected=len(strategies), observing_for=observing_for)


def override(
    state: str, *, hours: float = 1.0, at: datetime = NOW, reason: str = "why"
) -> Override:
    return Override(state=state, reason=reason, by="alice", expires_at=at + timedelta(hours=hours))


def approval(sequence: int) -> Approval:
    return Approval(sequence=sequence, by="dave")


STOP = EmergencyStop(reason="fat finger", by="carol")
INVALID = Fault("invalid", "CrossedQuote", "bid 10 above ask 9")


class Machine:
    """A gate under a clock of its own: what the engine does, without anything around it."""

    def __init__(self, gate: DriftGateSpec | None = None, **status: Any) -> None:
        self.spec = gate or spec()
        self.status = DriftGateStatus(**status)
        self.now = NOW
        self.chain: list[Transition] = []
        self.requeue_after: float | None = None

    def edit(self, **fields: Any) -> None:
        self.spec = self.spec.model_copy(update=fields)

    def see(self, *strategies: StrategyEvidence, observing_for: float = 60.0) -> Decision:
        """One call of decide."""
        seen_now = observing(*strategies, observing_for=observing_for)
        decision = decide(self.spec, self.status, seen_now, self.now, generation=1)
        self.status = decision.status
        self.requeue_after = decision.requeue_after
        if decision.transition:
            self.chain.append(decision.transition)
        return decision

    def settle(self, *strategies: StrategyEvidence) -> None:
        """Call until there is no transition, with the same evidence: as the engine does."""
        while self.see(*strategies).transition:
            pass

    def healthy(self, seconds: float = 0.0, **fields: Any) -> None:
        """One healthy strategy, whose guard confirms every transition, for so long."""
        end = self.now + timedelta(seconds=seconds)
        while True:
            self.see(seen(evidence(self.status.sequence, **fields)))
            if self.now >= end:
                return
            self.pass_time(0.25)

    def pass_time(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def opened(self) -> "Machine":
        self.healthy(1)
        assert self.status.state == "Open"
        return self

    def suspended(self) -> "Machine":
        self.opened()
        self.healthy(tripped=True)
        assert self.status.state == "Suspended"
        return self

    def recovering(self) -> "Machine":
        self.suspended()
        self.healthy(5.5)
        assert self.status.state == "Recovering"
        return self

    def condition(self, kind: str) -> tuple[str, str, str]:
        found = next(c for c in self.status.conditions if c.type == kind)
        return found.status, found.reason, found.message
