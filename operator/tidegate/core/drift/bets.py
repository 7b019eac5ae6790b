"""The bets against health: constants, and the proof that no bet wins on average while healthy.

Notation. x is a residual of one family, y = (x - center) - φ (previous x - center) its whitened
form, s the scale, φ frozen. A constant shift d of x is a shift d (1 - φ) of y, so tolerance τ and
limit become τ (1 - φ) / s and so on in units of s. e is the reference's ``center_error``, and
m = max(τ, e) (1 - φ) / s the margin.

**Null hypothesis.** At every event, given the whole past, y/s = h + δ, where |δ| <= m is
fixed by the past and the healthy innovation h satisfies

    (A1)  E[clip(h, ±c)] = 0         with c = 1.25: the Huber location of h is zero;
    (A2)  P(h > k σ) <= p_k and P(h < -k σ) <= p_k
                                     for k = 2, 4, 8 and the caps p_k of the reference,

where σ >= 1 is the present roughness, known before the event (`volatility`).

Shifts are counted from the reference's center. Learned from N events, it misses the true one by up
to e; a strategy that goes on exactly as it was learned therefore has |δ| <= e (1 - φ) / s, inside
the null even where the tolerance is smaller than the reference can resolve. The price is that a
true shift between τ - e and τ is not promised to stay silent.

**Mean bets.** v = clip(y/s - m, ±c) and L = 1 + λ v / c, λ in (0, 1), so L >= 1 - λ > 0.
Clipping is non-decreasing, hence v = clip(h + δ - m) <= clip(h) for every h, and
E[v | past] <= E[clip(h)] = 0, so E[L | past] <= 1. The mirrored bet takes -y. Note what is *not*
needed: symmetry, a variance, independence, or a constant δ within the tolerance.

What clipping does to asymmetry: the clipped mean of a skewed h is not its mean. (A1) therefore
speaks of the Huber location, and ``center`` of a learned reference *is* the Huber location of the
sample. A declared center is taken at its word: if h is symmetric about it, (A1) holds; if h is
skewed and the mean was declared, (A1) is off by the distance from mean to Huber location, and the
tolerance has to cover that distance. Likewise a change of *shape* that moves the Huber location
beyond the tolerance while the mean stays is drift by this definition, and is reported as drift.

**Tail bets.** B = 1 when y/s > k σ + m, else 0; L = 1 + λ (B / p_k - 1). As |δ| <= m,
B <= 1{h > k σ}, so E[B | past] <= p_k and E[L | past] <= 1 - λ + λ p_k / p_k = 1; mirrored for -y.
The weak point is "given the past" in (A2): under volatility clustering the conditional tail exceeds
the marginal one. Three things meet it. σ follows a burst within some five events. The sides bet
apart, and a burst without drift alternates between them, so that neither bet grows unless one side
alone exceeds far more often than p_k. And `learner` raises the caps until the reference itself does
not contradict them; a declared reference must leave that room.

**From bets to an alarm** (Shin, Ramdas, Rinaldo, "E-detectors", arXiv 2203.03532). Each component
R <- (R + 1) L has E[R_n | past] <= R_{n-1} + 1, so R_n - n is a supermartingale, and so is any
fixed weighted average M of components, families included, less the weighted count N of its events.
Stopping at T = first M >= A or at n gives A P(T <= n) <= E[M] <= E[N] <= n, for any dependence
between events and families: P(false trip within n events) <= n / A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tidegate.core.drift.reference import Reference
from tidegate.core.drift.signal import SignalSpec

CLIP = 1.25
"""Where the mean bets clip, in scales: bounded bets cannot be ruined, or won, by one print."""

MEAN_LAMBDAS = (0.02, 0.06, 0.15, 0.40, 0.85)
"""Stakes of the mean bets, a geometric grid from shifts of a twentieth of a scale to saturation."""

TAIL_LAMBDAS = (0.60, 0.85)
TAIL_LEVELS = (2.0, 4.0, 8.0)
"""Stakes and levels (in scales) of the tail bets, which make large shifts fast. Bold stakes on
purpose: they lose more on every event that does not exceed, so that a burst of volatility, which
exceeds on one side every second time at most, ruins them, while a drift exceeds nearly always."""

COMPONENTS = 2 * (len(MEAN_LAMBDAS) + len(TAIL_LEVELS) * len(TAIL_LAMBDAS))
"""Components of one family: mean bets up and down, then tail bets up and down."""

PREVIOUS_CLIP = 8.0
"""Bound, in scales, of the previous deviation in the whitening. One bad print of 1e6 scales would
otherwise make the *next* event an exceedance of every level too: two for the price of one."""

FAR = 64.0
"""Deviations are cut here, in scales, before any arithmetic: all that follows is then bounded."""

SMALLEST_CAP = 1e-9
"""Lower bound of a cap inside a bet, so that one win multiplies by at most 8.5e8."""

_CLIPPED_VARIANCE = 1.0  # of a clipped standard normal it is .63 without, up to 1 with, a shift
_CLIPPED_SLOPE = 0.75  # d E[clip] / d shift near zero: P(|N| < 1.25) = .79
_SATURATION = 0.7  # beyond, clipping makes the line above meaningless


@dataclass(frozen=True, slots=True)
class Scaled:
    """One family's numbers in units of its scale, as the bets need them.

    ``margin`` and ``limit`` apply to y/s: they carry the factor (1 - φ). ``margin`` includes the
    reference's center_error where that exceeds the tolerance; from ``limit`` it is taken off: both
    nulls only grow.
    ``unit`` converts a shift of y/s back to the unit of x.
    """

    center: float
    inverse_scale: float
    phi: float
    margin: float
    limit: float
    unit: float
    offset: float
    offset_error: float

    @classmethod
    def of(cls, spec: SignalSpec, reference: Reference, floor: float = 0.0) -> Scaled:
        """Scale ``spec`` by ``reference``; ``floor`` (unit of x) bounds the scale from below.

        A larger scale keeps (A2) true, and (A1) for symmetric h. Raises ValueError when the two
        are of different families.
        """
        if spec.family != reference.family:
            raise ValueError(
                f"signal {spec.family}: expected its own reference, found {reference.family}"
            )
        scale = max(reference.scale, reference.tick / 2.0, floor)
        drive = (1.0 - reference.phi) / scale
        return cls(
            center=reference.center,
            inverse_scale=1.0 / scale,
            phi=reference.phi,
            margin=max(spec.tolerance, reference.center_error) * drive,
            limit=max(spec.limit - reference.center_error, 0.0) * drive,
            unit=1.0 / drive,
            offset=reference.offset * drive,
            offset_error=reference.offset_error * drive,
        )


def tail_factors(caps: tuple[float, float, float]) -> tuple[tuple[float, ...], ...]:
    """Factors L of one side's six tail bets by how many levels y exceeds: shape (4, 6).

    Rows are 0, 1, 2, 3 levels exceeded, columns level by level; all positive and finite.
    """
    rows = []
    for exceeded in range(len(TAIL_LEVELS) + 1):
        row: list[float] = []
        for level, cap in enumerate(caps):
            odds = 1.0 / max(cap, SMALLEST_CAP)
            won = exceeded > level
            row.extend(1.0 + stake * (odds - 1.0 if won else -1.0) for stake in TAIL_LAMBDAS)
        rows.append(tuple(row))
    return tuple(rows)


def smallest_shift(growth: float, scaled: Scaled) -> float:
    """Smallest shift (unit of x) at which a mean bet grows by ``growth`` nats an event.

    Under Gaussian noise of one scale, clipped, a shift of μ beyond the margin gives the stake λ
    about λ m / c - λ² (v + m²) / 2c² nats, m = slope μ; the quadratic is bounded from below by
    dropping m² in favour of a variance of 1. Infinite when even a saturated bet is too slow.
    """
    best = math.inf
    for stake in MEAN_LAMBDAS:
        mean = CLIP * growth / stake + stake * _CLIPPED_VARIANCE / (2.0 * CLIP)
        if mean < _SATURATION * CLIP:
            best = min(best, mean / _CLIPPED_SLOPE)
    return (scaled.margin + best) * scaled.unit
