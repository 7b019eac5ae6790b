"""One strategy under one gate: all its families together, one statistic, one verdict."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tidegate.core.drift.bets import smallest_shift
from tidegate.core.drift.codec import (
    as_count,
    as_flag,
    as_float,
    as_list,
    as_object,
    expect_version,
    field,
)
from tidegate.core.drift.reference import Reference
from tidegate.core.drift.signal import FAMILIES, SignalSpec
from tidegate.core.drift.track import FamilyTrack, spec_of

_FORMAT = 1
_MAX_THRESHOLD = 1e200  # well below the ceiling of a component
_ALPHA = 0.05
_HORIZON = 1000


@dataclass(frozen=True, slots=True)
class SignalState:
    """What one family shows. ``estimate``, ``low``, ``high`` (95 %, valid at all times at once) and
    ``minimum_detectable`` are shifts of the mean in the unit of x, ``events`` a count.

    ``score`` is this family's own part of the gate's score: at 1 it trips the gate alone.
    ``minimum_detectable`` is the smallest shift that is expected to trip within 1,000 events.
    """

    family: str
    score: float
    estimate: float
    low: float
    high: float
    events: int
    minimum_detectable: float


class DriftDetector:
    """An e-SR detector over all families of a gate (`bets` holds the proof).

    ``threshold`` is A: P(false trip within n events) <= n / A. ``warn`` is a smaller A that only
    warns. ``floors`` maps a family to the smallest scale to be used, in its unit of x.

    Raises ValueError on an empty or repeated family, a missing reference or a senseless threshold.
    """

    __slots__ = ("_by_family", "_evidence", "_tracks", "_tripped", "invalid", "threshold", "warn")

    def __init__(
        self,
        signals: Sequence[SignalSpec],
        references: Mapping[str, Reference],
        *,
        threshold: float = 1e12,
        warn: float = 1e6,
        floors: Mapping[str, float] | None = None,
    ) -> None:
        if not signals:
            raise ValueError("detector: at least one signal expected, found none")
        if not 1.0 < threshold <= _MAX_THRESHOLD:
            raise ValueError(f"detector: threshold must be within (1, 1e200], was {threshold!r}")
        if not 1.0 < warn <= threshold:
            raise ValueError(f"detector: warn must be within (1, threshold], was {warn!r}")
        families = [spec.family for spec in signals]
        repeated = sorted({family for family in families if families.count(family) > 1})
        if repeated:
            raise ValueError(f"detector: one signal a family expected, found more of {repeated}")
        missing = [family for family in families if family not in references]
        if missing:
            raise ValueError(f"detector: a reference of {missing} expected, found none")
        self.threshold = threshold
        self.warn = warn
        self.invalid = 0
        # One order for all sums: the result must not depend on how the gate lists its signals.
        ordered = sorted(signals, key=lambda spec: FAMILIES.index(spec.family))
        whole = math.fsum(spec.weight for spec in ordered)
        self._tracks = [
            FamilyTrack(
                spec,
                references[spec.family],
                spec.weight / whole,
                (floors or {}).get(spec.family, 0.0),
            )
            for spec in ordered
        ]
        self._by_family = {track.spec.family: track for track in self._tracks}
        self._evidence = 0.0
        self._tripped = False

    def update(self, family: str, x: float) -> None:
        """Take one residual x of ``family``. NaN and infinities are counted in ``invalid`` only.

        Raises KeyError when the gate does not watch ``family``, and nothing for any float.
        """
        track = self._by_family[family]
        if x - x != 0.0:
            self.invalid += 1
            return
        track.take(x)
        evidence = 0.0
        for other in self._tracks:
            evidence += other.mass
        self._evidence = evidence
        if evidence >= self.threshold:
            self._tripped = True

    @property
    def log_evidence(self) -> float:
        """ln M, M the weighted average over families; -inf before the first bet."""
        return math.log(self._evidence) if self._evidence > 0.0 else -math.inf

    @property
    def tripped(self) -> bool:
        """Whether M ever reached the threshold since the last reset."""
        return self._tripped

    @property
    def warned(self) -> bool:
        """Whether M is at the warning level now, or has tripped."""
        return self._tripped or self._evidence >= self.warn

    @property
    def families(self) -> tuple[str, ...]:
        """The families watched, in canonical order."""
        return tuple(self._by_family)

    def score(self) -> float:
        """Drift score: 0 healthy, 1 trips; clip(ln⁺(M/n) / ln(A/n), 0, 1), n the weighted events.

        Monotone in M at given n. A trip holds it at 1 until reset, as ``tripped`` itself.
        """
        return 1.0 if self._tripped else self._score(self._evidence)

    def signals(self) -> list[SignalState]:
        """The state of every family, in canonical order."""
        return [self._signal(track) for track in self._tracks]

    def minimum_detectable(self, family: str, events: int = _HORIZON) -> float:
        """Smallest mean shift (unit of x) expected to trip within ``events`` events of ``family``.

        From the mean bets alone, with Gaussian noise of one scale: growth per event of the stake λ
        is about λ μ / c - λ² (v + μ²) / 2c², with v the variance and μ the mean of the clipped
        residual. Conservative for quieter families; infinite when no shift is fast enough.
        Raises KeyError on an unwatched family.
        """
        track = self._by_family[family]
        needed = math.log(self.threshold / track.share) / max(events, 1)
        return smallest_shift(needed, track.scaled)

    def reset(self) -> None:
        """Start anew with the same references: evidence, latch and counts go back to nothing."""
        for track in self._tracks:
            track.reset()
        self._evidence = 0.0
        self._tripped = False
        self.invalid = 0

    def _score(self, evidence: float) -> float:
        n = math.fsum(track.weight * track.events for track in self._tracks)
        if evidence <= 0.0 or n <= 0.0:
            return 0.0
        # Beyond A/e events the budget of false alarms is spent and ln(A/n) would change sign.
        log_n = min(math.log(n), math.log(self.threshold) - 1.0)
        value = (math.log(evidence) - log_n) / (math.log(self.threshold) - log_n)
        return min(max(value, 0.0), 1.0)

    def _signal(self, track: FamilyTrack) -> SignalState:
        mean, low, high, _ = track.window.estimate(_ALPHA, drifting=track.mass >= self.warn)
        unit, offset, error = track.scaled.unit, track.scaled.offset, track.scaled.offset_error
        return SignalState(
            family=track.spec.family,
            score=self._score(track.mass),
            estimate=(mean - offset) * unit,
            low=(low - offset - error) * unit,
            high=(high - offset + error) * unit,
            events=track.events,
            minimum_detectable=self.minimum_detectable(track.spec.family),
        )

    def to_dict(self) -> dict[str, object]:
        """Everything, JSON-safe: settings, references and evidence; see from_dict."""
        return {
            "version": _FORMAT,
            "threshold": self.threshold,
            "warn": self.warn,
            "invalid": self.invalid,
            "tripped": self._tripped,
            "families": [track.to_dict() for track in self._tracks],
        }

    @classmethod
    def from_dict(cls, payload: Mapping[str, object]) -> DriftDetector:
        """The detector that to_dict described; it continues bit for bit.

        Raises ValueError naming the field, what was expected and what was found.
        """
        owner = "detector state"
        expect_version(payload, owner, _FORMAT)
        items = [
            as_object(item, owner, "families")
            for item in as_list(field(payload, owner, "families"), owner, "families")
        ]
        specs = [spec_of(item) for item in items]
        detector = cls(
            specs,
            {
                spec.family: Reference.from_dict(
                    as_object(field(item, owner, "reference"), owner, "reference")
                )
                for spec, item in zip(specs, items, strict=True)
            },
            threshold=as_float(field(payload, owner, "threshold"), owner, "threshold"),
            warn=as_float(field(payload, owner, "warn"), owner, "warn"),
            floors={
                spec.family: as_float(field(item, owner, "floor"), owner, "floor")
                for spec, item in zip(specs, items, strict=True)
            },
        )
        for spec, item in zip(specs, items, strict=True):
            detector._by_family[spec.family].restore(item)
        detector.invalid = as_count(field(payload, owner, "invalid"), owner, "invalid")
        detector._tripped = as_flag(field(payload, owner, "tripped"), owner, "tripped")
        detector._evidence = sum(track.mass for track in detector._tracks)
        return detector
