"""Healthy and drifting residuals of every kind that a gate meets, from a seeded source."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator

import pytest

TOLERANCE = 5e-4
LIMIT = 1e-2


def student(rng: random.Random, degrees: int) -> float:
    return rng.gauss(0.0, 1.0) / math.sqrt(rng.gammavariate(degrees / 2.0, 2.0 / degrees))


class Noise:
    """Endless streams of residuals about zero."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)

    def iid(self, draw: Callable[[random.Random], float]) -> Iterator[float]:
        while True:
            yield draw(self.rng)

    def price(self) -> Iterator[float]:
        """Student t3 of 25 bps: the noise whose Lorden bounds at A = 1e12 are 26, 9.7 and 5.1."""
        return self.iid(lambda rng: 0.0025 * student(rng, 3))

    def autoregressive(self, phi: float, degrees: int = 3) -> Iterator[float]:
        x = 0.0
        while True:
            x = phi * x + 0.0025 * student(self.rng, degrees)
            yield x

    def clustered(self) -> Iterator[float]:
        """GARCH(1,1) with Student t5 innovations and an autoregression of .2."""
        variance, shock, x = 1.0, 0.0, 0.0
        while True:
            variance = 0.04 + 0.08 * shock * shock + 0.88 * variance
            shock = math.sqrt(min(variance, 50.0)) * student(self.rng, 5) * math.sqrt(0.6)
            x = 0.2 * x + 0.003 * shock
            yield x

    def zeros(self, share: float) -> Iterator[float]:
        return self.iid(lambda rng: 0.0 if rng.random() < share else 0.0025 * student(rng, 3))

    def ticks(self, tick: float) -> Iterator[float]:
        return self.iid(lambda rng: tick * round(0.0025 * student(rng, 3) / tick))

    def skewed(self) -> Iterator[float]:
        return self.iid(lambda rng: 0.003 * (math.exp(rng.gauss(0.0, 1.0)) - 1.0))

    def spikes(self) -> Iterator[float]:
        """Kurtosis above 100: one event in 500 is 40 times as large."""
        return self.iid(
            lambda rng: 0.002 * rng.gauss(0.0, 1.0) * (40.0 if rng.random() < 0.002 else 1.0)
        )


@pytest.fixture
def noise() -> Callable[[int], Noise]:
    return Noise
