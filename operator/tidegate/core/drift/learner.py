"""Learning a reference from the first healthy events."""

from __future__ import annotations

import math

from tidegate.core.drift.bets import (
    CLIP,
    MEAN_LAMBDAS,
    TAIL_LAMBDAS,
    TAIL_LEVELS,
)
from tidegate.core.drift.reference import Reference
from tidegate.core.drift.robust import (
    clip,
    clopper_pearson_upper,
    huber_fit,
    long_run_deviation,
    mad_scale,
    median,
    whiten,
)
from tidegate.core.drift.shift import WIDE
from tidegate.core.drift.signal import check_family
from tidegate.core.drift.volatility import Volatility

MIN_EVENTS = 100
"""Fewer events cannot bound an 8-scale tail below 5 %, so they describe nothing."""

_TAIL_ALPHA = 1e-3
_CENTER_Z = 3.3  # two-sided error 1e-3 of the center
_CONTRADICTION = 20.0  # an e-detector above 20 n rejects its own null at 5 %
_RAISE = 1.25
_MAX_RAISES = 40


class ReferenceLearner:
    """Collects the first ``events_needed`` finite residuals and fits a Reference to them.

    ``tick`` is the smallest price step and ``floor`` the declared lower bound of the scale, both
    in the unit of x. Non-finite x are counted in ``invalid`` and left out. Raises ValueError.
    """

    __slots__ = ("_family", "_floor", "_needed", "_tick", "_values", "invalid")

    def __init__(self, family: str, events_needed: int, *, tick: float = 0.0, floor: float) -> None:
        check_family("reference learner", family)
        name = f"reference learner {family}"
        if events_needed < MIN_EVENTS:
            raise ValueError(
                f"{name}: events_needed must be at least {MIN_EVENTS}, was {events_needed}"
            )
        if not 0.0 <= tick < math.inf:
            raise ValueError(f"{name}: tick must be finite and >= 0, was {tick!r}")
        # Without a floor, a family of equal values would have scale 0 and every change be infinite.
        if not 0.0 < floor < math.inf:
            raise ValueError(f"{name}: floor must be finite and > 0, was {floor!r}")
        self._family = family
        self._needed = events_needed
        self._tick = tick
        self._floor = floor
        self._values: list[float] = []
        self.invalid = 0

    def add(self, x: float) -> None:
        """Take one healthy residual; anything after completion is ignored."""
        if x - x != 0.0:
            self.invalid += 1
        elif len(self._values) < self._needed:
            self._values.append(float(x))

    @property
    def count(self) -> int:
        """Residuals taken so far."""
        return len(self._values)

    @property
    def complete(self) -> bool:
        """Whether ``finish`` may be called."""
        return len(self._values) >= self._needed

    def finish(self) -> Reference:
        """Fit; RuntimeError before completion, ValueError when the residuals defy any scale.

        Order matters: the scale is that of the whitened residual, whitening needs a center, and
        both need a scale, hence two passes.
        """
        if not self.complete:
            raise RuntimeError(
                f"reference {self._family}: {self._needed} events expected, found {self.count}; "
                "keep the gate calibrating"
            )
        values = self._values
        smallest = max(self._tick / 2.0, self._floor)
        scale = max(mad_scale(values), smallest)
        center, phi = huber_fit(values, scale, median(values), 0.0)
        y = whiten([(value - center) / scale for value in values], phi)
        scale = max(scale * mad_scale(y), smallest)
        center, phi = huber_fit(values, scale, center, phi)
        y = whiten([(value - center) / scale for value in values], phi)
        u = [clip(value, CLIP) for value in y]
        n = len(y)

        slope = max(sum(1 for a, b in zip(y, u, strict=True) if a == b) / n, 0.05)
        bias = abs(math.fsum(u) / n)  # what Newton left: discrete data may have no exact root
        error = (bias + _CENTER_Z * long_run_deviation(u) / math.sqrt(n)) / slope
        error = _uncontradicted_margin(y, error)
        unit = scale / (1.0 - phi)
        w = [clip(value, WIDE) for value in y]
        return Reference(
            family=self._family,
            center=center,
            scale=scale,
            phi=phi,
            tick=self._tick,
            tail_caps=_tail_caps(y),
            events=len(values),
            center_error=error * unit,
            offset=math.fsum(w) / n * unit,
            offset_error=_CENTER_Z * long_run_deviation(w) / math.sqrt(n) * unit,
        )


def _tail_caps(y: list[float]) -> tuple[float, float, float]:
    """Clopper-Pearson bounds, raised until betting on the reference itself wins nothing.

    Clopper-Pearson assumes independent events. Under volatility clustering exceedances come in
    bursts, and a bet against the marginal rate would grow within one. If p bounds the conditional
    rate, the e-detector exceeds 20 n on n events with probability at most 1/20 *for any
    dependence*; inverting that test gives the smallest cap which the reference does not contradict.
    """
    volatility = Volatility()
    sizes: list[float] = []
    for value in y:
        sizes.append(value / volatility.factor)
        volatility.take(value)
    caps: list[float] = []
    for level in reversed(TAIL_LEVELS):
        sides = [[size > level for size in sizes], [size < -level for size in sizes]]
        hits = max(sum(side) for side in sides)
        cap = clopper_pearson_upper(hits, len(y), _TAIL_ALPHA)
        cap = max(cap, caps[-1] if caps else 0.0)
        for _ in range(_MAX_RAISES):
            if cap >= 1.0 or not any(
                _grows([_tail_bets(cap, hit) for hit in side]) for side in sides
            ):
                break
            cap = min(cap * _RAISE, 1.0)
        caps.append(cap)
    return caps[2], caps[1], caps[0]


def _tail_bets(cap: float, hit: bool) -> tuple[float, ...]:
    return tuple(1.0 + stake * ((1.0 / cap if hit else 0.0) - 1.0) for stake in TAIL_LAMBDAS)


def _uncontradicted_margin(y: list[float], error: float) -> float:
    """The center's error, raised (same argument) until the mean bets win nothing either."""
    error = max(error, 1e-12)
    for _ in range(_MAX_RAISES):
        growing = False
        for sign in (1.0, -1.0):
            v = [clip(sign * value - error, CLIP) / CLIP for value in y]
            growing = growing or _grows(
                [tuple(1.0 + stake * item for stake in MEAN_LAMBDAS) for item in v]
            )
        if not growing:
            break
        error *= _RAISE
    return error


def _grows(bets: list[tuple[float, ...]]) -> bool:
    """Whether R <- (R + 1) L of any column ever exceeds 20 times the number of events."""
    alarm = _CONTRADICTION * len(bets)
    for column in zip(*bets, strict=True):
        r = 0.0
        for factor in column:
            r = (r + 1.0) * factor
            if r > alarm:
                return True
    return False
