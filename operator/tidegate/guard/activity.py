"""What the strategy has been doing: counts, and how long its steps take. Pure."""

from bisect import bisect_left
from collections import Counter, deque

from tidegate.api.wire import Report, Step

BUCKETS_MS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 1000.0)
RECENT = 256


class Activity:
    """Counters by type of report, and the latency of steps as histogram and recent quantile."""

    def __init__(self) -> None:
        self.reports: Counter[str] = Counter()
        self.pairs = 0
        self.last_step: int | None = None  # CLOCK_MONOTONIC ns of its arrival
        # Per bucket, not cumulative; the last one is beyond them all.
        self.buckets = [0] * (len(BUCKETS_MS) + 1)
        self.sum_ms = 0.0
        self._recent: deque[float] = deque(maxlen=RECENT)

    def take(self, report: Report, now: int) -> None:
        self.reports[str(report.__struct_config__.tag)] += 1
        if isinstance(report, Step):
            self.last_step = now
            if report.latency >= 0:
                ms = min(report.latency, 10**15) / 1e6  # an int may be too large for a float
                self.buckets[bisect_left(BUCKETS_MS, ms)] += 1
                self.sum_ms += ms
                self._recent.append(ms)

    def p95_ms(self) -> float | None:
        """Of the last 256 steps."""
        if not self._recent:
            return None
        ordered = sorted(self._recent)
        return ordered[min(len(ordered) * 95 // 100, len(ordered) - 1)]
