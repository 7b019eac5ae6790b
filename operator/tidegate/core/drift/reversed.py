"""Has the drift gone? The test that every step of a recovery has to pass.

H0+ says that every event's shift is >= limit, H0- that it is <= -limit; H0 is that one of them
holds. In the terms of `bets`, with ℓ' = (limit - center_error)(1 - φ) / s:

- Under H0+, v = clip(y/s - ℓ', ±c) >= clip(h), so E[v | past] >= 0 and L = 1 - λ v / c has
  conditional mean <= 1. Under H0+ also P(y/s < ℓ' - k) <= P(h < -k) <= p_k, so
  L = 1 + λ (B / p_k - 1) with B = 1{y/s < ℓ' - k} has too. The product of either kind is a test
  supermartingale E+, and so is the average of several.
- p+ = 1 / max over time of E+ is valid at any stopping time (Ville). E-, p- mirror it.
- p = max(p+, p-): under H0+, P(p <= a) <= P(p+ <= a) <= a, likewise under H0-. Both sides must
  reject; no correction is due (intersection-union, Berger 1982).
"""

from __future__ import annotations

import math

from tidegate.core.drift.bets import (
    CLIP,
    FAR,
    MEAN_LAMBDAS,
    PREVIOUS_CLIP,
    TAIL_LAMBDAS,
    TAIL_LEVELS,
    Scaled,
    tail_factors,
)
from tidegate.core.drift.reference import Reference
from tidegate.core.drift.signal import SignalSpec
from tidegate.core.drift.volatility import Volatility

STAKES = (*MEAN_LAMBDAS[1:], 0.97)
"""Recovery rules out a large shift from few events: a bolder grid than the detector's."""

_COMPONENTS = len(STAKES) + len(TAIL_LEVELS) * len(TAIL_LAMBDAS)


class ReversedTest:
    """Test of H0: |mean shift| >= ``spec.limit``, to be started anew for every recovery step.

    Raises ValueError when spec and reference are of different families.
    """

    __slots__ = (
        "_best",
        "_logs",
        "_previous",
        "_scaled",
        "_tails",
        "_volatility",
        "events",
        "invalid",
    )

    def __init__(self, spec: SignalSpec, reference: Reference, *, floor: float = 0.0) -> None:
        self._scaled = Scaled.of(spec, reference, floor)
        self._tails = tuple(
            tuple(math.log(factor) for factor in row) for row in tail_factors(reference.tail_caps)
        )
        self._previous: float | None = None if self._scaled.phi else 0.0
        self._volatility = Volatility()
        # ln of every component's product, against H0+ and against H0-; ln max E of either side.
        self._logs = ([0.0] * _COMPONENTS, [0.0] * _COMPONENTS)
        self._best = [0.0, 0.0]
        self.events = 0
        self.invalid = 0

    def update(self, x: float) -> None:
        """Take one residual (unit of x); NaN and infinities are counted in ``invalid`` only."""
        if x - x != 0.0:
            self.invalid += 1
            return
        scaled = self._scaled
        z = min(max((x - scaled.center) * scaled.inverse_scale, -FAR), FAR)
        previous, self._previous = self._previous, min(max(z, -PREVIOUS_CLIP), PREVIOUS_CLIP)
        self.events += 1
        if previous is None:
            return
        y = z - scaled.phi * previous
        factor = self._volatility.factor
        self._volatility.take(y)
        # How far y stays inside +limit, and inside -limit.
        for side, inside in enumerate((scaled.limit - y, scaled.limit + y)):
            logs = self._logs[side]
            v = min(max(inside, -CLIP), CLIP) / CLIP
            for index, stake in enumerate(STAKES):
                logs[index] += math.log1p(stake * v)
            exceeded = sum(inside > level * factor for level in TAIL_LEVELS)
            for index, gain in enumerate(self._tails[exceeded], start=len(STAKES)):
                logs[index] += gain
            top = max(logs)
            average = top + math.log(math.fsum(math.exp(item - top) for item in logs))
            self._best[side] = max(self._best[side], average - math.log(_COMPONENTS))

    @property
    def p_value(self) -> float:
        """Anytime-valid p-value of H0, in [0, 1]; 1 before any evidence, never rising."""
        return math.exp(-max(min(self._best), 0.0))
