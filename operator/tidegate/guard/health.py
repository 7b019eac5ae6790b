"""Data faults of one strategy: nothing heard, too old, or not to be trusted. Pure."""

from dataclasses import dataclass, field
from typing import Literal

from tidegate.api.wire import Fault
from tidegate.guard.pairing import Problem

NO_DATA_AFTER = 10_000_000_000
INVALID_FOR = 2_000_000_000
MOST_REASONS = 32

Feed = Literal["quote", "probe", "step"]
FEEDS: tuple[tuple[Feed, str], ...] = (
    ("quote", "QuotesStale"), ("probe", "ProbesStale"), ("step", "StepsStale"),
)  # fmt: skip
# A family whose feed is silent has no evidence of health.
NEEDS: dict[str, Feed] = {"market": "quote", "latency": "probe"}


@dataclass(slots=True)
class _Episode:
    last: int
    message: str


@dataclass
class Health:
    """`started`: CLOCK_MONOTONIC ns, as all times here."""

    started: int
    _first: int | None = None
    _last: dict[Feed, int] = field(default_factory=dict)
    _invalid: dict[str, _Episode] = field(default_factory=dict)

    def heard(self, now: int) -> None:
        """Any report at all."""
        if self._first is None:
            self._first = now

    def feed(self, feed: Feed, now: int) -> None:
        self._last[feed] = now

    def problem(self, problem: Problem, now: int) -> bool:
        """Note a problem; True if it is not one that lasts already.

        A fault's message is that of its first occurrence: it must not change while it lasts.
        """
        episode = self._invalid.get(problem.reason)
        if episode is None or now - episode.last > INVALID_FOR:
            if len(self._invalid) >= MOST_REASONS:
                self._invalid.pop(next(iter(self._invalid)))
            self._invalid[problem.reason] = _Episode(now, problem.message)
            return True
        episode.last = now
        return False

    def faults(self, now: int, *, stale_after: int, families: frozenset[str]) -> tuple[Fault, ...]:
        """What is wrong at `now` for a gate of these families, in a fixed order."""
        out: list[Fault] = []
        if self._first is None:
            if now - self.started >= NO_DATA_AFTER:
                text = (
                    f"no report since the guard started, expected one in {NO_DATA_AFTER // 10**9}s"
                )
                out.append(Fault("noData", "NoReports", text))
        else:
            needed = {NEEDS[family] for family in families if family in NEEDS} | {"step"}
            for name, reason in FEEDS:
                # One that reported once and stopped is as silent as one that had to and did not.
                if name not in needed and name not in self._last:
                    continue
                if now - self._last.get(name, self._first) > stale_after:
                    text = f"no {name} for more than {stale_after // 10**6}ms"
                    out.append(Fault("stale", reason, text))
        for reason, episode in sorted(self._invalid.items()):
            if now - episode.last <= INVALID_FOR:
                out.append(Fault("invalid", reason, episode.message))
        return tuple(out)
