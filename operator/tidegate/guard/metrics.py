"""The guard's metrics, read from its state when scraped: counting costs nothing per report."""

from collections.abc import Iterable, Iterator
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from tidegate.api.wire import Evidence
from tidegate.guard.activity import BUCKETS_MS, Activity

STATES = {"Halted": 0, "Reducing": 1, "Active": 2}


class Observed(Protocol):
    """What the metrics are about."""

    activity: Activity
    faults_total: dict[tuple[str, str], int]

    def evidence(self) -> Evidence: ...


class GuardCollector(Collector):
    """Every sample carries the strategy and its namespace."""

    def __init__(self, guard: Observed, strategy: str, namespace: str) -> None:
        self._guard = guard
        self._names = ("strategy", "namespace")
        self._values = (strategy, namespace)

    def describe(self) -> Iterable[Metric]:
        return ()

    def _gauge(self, name: str, text: str, *labels: str) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, text, labels=(*self._names, *labels))

    def _counter(self, name: str, text: str, *labels: str) -> CounterMetricFamily:
        return CounterMetricFamily(name, text, labels=(*self._names, *labels))

    def collect(self) -> Iterator[Metric]:
        evidence = self._guard.evidence()
        score = self._gauge("drift_score", "0 healthy, 1 trips.", "gate", "family")
        delta = self._gauge(
            "paper_live_delta", "Estimated shift of live against paper, bps.", "gate", "family"
        )
        calibrated = self._gauge("guard_calibrated", "1 with a complete reference.", "gate")
        for gate in evidence.gates:
            calibrated.add_metric((*self._values, gate.gate), float(gate.calibrated))
            for signal in gate.signals:
                labels = (*self._values, gate.gate, signal.family)
                score.add_metric(labels, signal.score)
                if signal.estimate_bps is not None:
                    delta.add_metric(labels, signal.estimate_bps)
        yield from (score, delta, calibrated)

        allocation = self._gauge("permit_allocation_percent", "Live size that is permitted.")
        allocation.add_metric(self._values, evidence.permit.allocation_percent)
        state = self._gauge("permit_state", "0 Halted, 1 Reducing, 2 Active.")
        state.add_metric(self._values, STATES[evidence.permit.state])
        yield from (allocation, state)

        activity = self._guard.activity
        reports = self._counter("guard_reports", "Reports of the strategy.", "type")
        for name, count in sorted(activity.reports.items()):
            reports.add_metric((*self._values, name), count)
        pairs = self._counter("guard_pairs", "Pairs of live and paper orders completed.")
        pairs.add_metric(self._values, activity.pairs)
        faults = self._counter("guard_faults", "Data faults that began.", "kind", "reason")
        for (kind, reason), count in sorted(self._guard.faults_total.items()):
            faults.add_metric((*self._values, kind, reason), count)
        yield from (reports, pairs, faults)

        steps = HistogramMetricFamily(
            "optimizer_step_latency_ms", "Duration of a step of the strategy.", labels=self._names
        )
        bounds = [*(str(bound) for bound in BUCKETS_MS), "+Inf"]
        counts = accumulate(activity.buckets)
        steps.add_metric(
            self._values, list(zip(bounds, counts, strict=True)), sum_value=activity.sum_ms
        )
        yield steps


def render(registry: CollectorRegistry) -> bytes:
    """The exposition text."""
    return generate_latest(registry)
