"""Robust estimates for a reference: location, autoregression, and a binomial upper bound.

All sums are over plain lists; a reference of 5,000 events costs some tens of milliseconds, once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from tidegate.core.drift.bets import CLIP, PREVIOUS_CLIP
from tidegate.core.drift.reference import MAX_PHI

MAD_TO_SIGMA = 1.4826
"""Median absolute deviation of a Gaussian to its standard deviation."""


def median(values: Sequence[float]) -> float:
    """Middle value, or the mean of the two; ValueError on nothing."""
    if not values:
        raise ValueError("median: at least one value expected, found none")
    ordered = sorted(values)
    half = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[half]
    return ordered[half - 1] / 2.0 + ordered[half] / 2.0


def mad_scale(values: Sequence[float]) -> float:
    """1.48 times the median absolute deviation from the median; 0 when most values are equal."""
    middle = median(values)
    return MAD_TO_SIGMA * median([abs(value - middle) for value in values])


def clip(value: float, bound: float) -> float:
    """``value`` cut to [-bound, bound]."""
    return bound if value > bound else -bound if value < -bound else value


def whiten(z: Sequence[float], phi: float) -> list[float]:
    """y_i = z_i - φ clip(z_{i-1}, ±8) of deviations in scales; one shorter unless φ = 0."""
    if not phi:
        return list(z)
    return [value - phi * clip(before, PREVIOUS_CLIP) for before, value in pairwise(z)]


def huber_fit(
    values: Sequence[float], scale: float, center: float, phi: float, rounds: int = 12
) -> tuple[float, float]:
    """(center, φ) that make clip(y, ±1.25) average zero and be uncorrelated with its predecessor.

    These are the two moments the mean bets are exposed to: a φ fitted by least squares would be
    set by a handful of outliers, one of clipped deviations would be biased to zero. Newton steps
    of Huber's regression (1981, ch. 7) from the given start; φ is held within ±0.5.
    """
    unit = 1.0 / scale
    for _ in range(rounds):
        z = [(value - center) * unit for value in values]
        pull = drag = inside = energy = 0.0
        for before, value in pairwise(z):
            p = clip(before, PREVIOUS_CLIP)
            y = value - phi * p
            u = clip(y, CLIP)
            pull += u
            drag += u * p
            if u == y:
                inside += 1.0
                energy += p * p
        n = len(z) - 1
        # A floor on the slopes: next to a cluster of equal values Newton would overshoot.
        step = pull / max(inside, 0.2 * n) / (1.0 - phi)
        turn = drag / max(energy, 0.2 * n)
        center += step * scale
        phi = clip(phi + turn, MAX_PHI)
        if abs(step) < 1e-9 and abs(turn) < 1e-9:
            break
    return center, phi


def long_run_deviation(values: Sequence[float], batch: int = 32) -> float:
    """Standard deviation per root event of a mean, the larger of independent and batched estimate.

    Batches (non-overlapping batch means) see the serial dependence that whitening left over.
    """
    n = len(values)
    if n < 2:
        return 0.0
    mean = math.fsum(values) / n
    plain = math.fsum((value - mean) ** 2 for value in values) / (n - 1)
    batches = [math.fsum(values[i : i + batch]) / batch for i in range(0, n - batch + 1, batch)]
    if len(batches) < 8:
        return math.sqrt(plain)
    spread = math.fsum((value - mean) ** 2 for value in batches) / (len(batches) - 1)
    return math.sqrt(max(plain, batch * spread))


def clopper_pearson_upper(hits: int, events: int, alpha: float) -> float:
    """Upper (1 - α) confidence bound of a probability after ``hits`` in ``events`` trials.

    The p at which P(Binomial(events, p) <= hits) = α (Clopper, Pearson 1934), rounded up.
    """
    if hits >= events:
        return 1.0
    low, high = hits / events, 1.0
    for _ in range(60):
        middle = (low + high) / 2.0
        if _binomial_cdf(hits, events, middle) > alpha:
            low = middle
        else:
            high = middle
    return high


def _binomial_cdf(hits: int, events: int, p: float) -> float:
    if p >= 1.0:
        return 0.0
    if p <= 0.0:
        return 1.0
    term = math.exp(
        math.lgamma(events + 1.0)
        - math.lgamma(hits + 1.0)
        - math.lgamma(events - hits + 1.0)
        + hits * math.log(p)
        + (events - hits) * math.log1p(-p)
    )
    total, ratio = 0.0, (1.0 - p) / p
    # Below the mode (the only place the bound looks) terms fall towards 0 hits.
    for k in range(hits, -1, -1):
        total += term
        if term < 1e-18 * total:
            break
        term *= k * ratio / (events - k + 1)
    return total
