"""The operator's metrics; names are the users' contract (DESIGN.md section 7)."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

STATES = ("Calibrating", "Open", "Suspended", "Recovering", "Stopped")
_GATE = ("namespace", "gate")
_FAST = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5)
_SLOW = (1, 2.5, 5, 10, 15, 20, 25, 30, 45, 60, 120, 300)


class Metrics:
    """One registry per engine, so that tests see only their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        of = self.registry
        self.leader = Gauge("tidegate_leader", "1 on the replica that writes.", registry=of)
        self.loop_lag = Gauge("tidegate_loop_lag_seconds", "Delay of the event loop.", registry=of)
        self.queue_keys = Gauge("tidegate_workqueue_depth", "Keys waiting or in work.", registry=of)
        self.reconciles = Counter(
            "tidegate_reconciles_total", "Reconciliations.", ("kind", "result"), registry=of
        )
        self.drift_score = Gauge(
            "drift_score",
            "0 healthy to 1 trips; the worst strategy.",
            (*_GATE, "family"),
            registry=of,
        )
        self.gate_state = Gauge(
            "gate_state", "1 for the gate's state.", (*_GATE, "state"), registry=of
        )
        self.gate_allocation = Gauge(
            "gate_allocation_percent", "Live allocation allowed.", _GATE, registry=of
        )
        self.gate_response = Histogram(
            "gate_response_seconds",
            "Evidence seen to halt written.",
            _GATE,
            buckets=_FAST,
            registry=of,
        )
        self.gate_recovery = Histogram(
            "gate_recovery_seconds", "Suspended to Open again.", _GATE, buckets=_SLOW, registry=of
        )
        self.gate_transitions = Counter(
            "gate_transitions_total", "Transitions.", (*_GATE, "from", "to", "reason"), registry=of
        )
        self.gate_override = Gauge(
            "gate_override_active", "1 while overridden.", _GATE, registry=of
        )
        self.gate_evidence_age = Gauge(
            "gate_evidence_age_seconds",
            "Oldest evidence of a running strategy.",
            _GATE,
            registry=of,
        )
        self.gate_audit = Counter(
            "gate_audit_records_total", "Audit records written.", _GATE, registry=of
        )
        self.running = Gauge(
            "optimizer_running", "Strategies running.", ("namespace",), registry=of
        )
        self.waiting = Gauge(
            "optimizer_queue_depth", "Strategies queued.", ("namespace",), registry=of
        )
        self.wait = Histogram(
            "optimizer_wait_seconds",
            "Queued to admitted.",
            ("namespace",),
            buckets=_SLOW,
            registry=of,
        )
        self.completed = Counter(
            "optimizer_completed_total", "Strategies ended.", ("namespace", "result"), registry=of
        )

    def forget_gate(self, namespace: str, gate: str) -> None:
        """Drop a deleted gate's current values; its counters stay."""
        for state in STATES:
            self._drop(self.gate_state, namespace, gate, state)
        for family in ("all", "price", "volume", "latency", "market"):
            self._drop(self.drift_score, namespace, gate, family)
        for gauge in (self.gate_allocation, self.gate_override, self.gate_evidence_age):
            self._drop(gauge, namespace, gate)

    def forget_all(self) -> None:
        """A replica that leads no more must not go on telling what it once knew."""
        for gauge in (
            self.drift_score, self.gate_state, self.gate_allocation, self.gate_override,
            self.gate_evidence_age, self.running, self.waiting,
        ):  # fmt: skip
            gauge.clear()

    @staticmethod
    def _drop(gauge: Gauge, *labels: str) -> None:
        try:
            gauge.remove(*labels)
        except KeyError:
            return
