"""P(false trip within n events) <= n / A, where it is hardest: small A, edge of the null."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

import pytest

from tidegate.core.drift import (
    DriftDetector,
    Reference,
    ReferenceLearner,
    SignalSpec,
    declared_reference,
)

TOLERANCE, LIMIT = 5e-4, 1e-2
RUNS = 2_000
A = 100.0
N = 20


def trips(reference: Reference, stream: Callable[[], Iterator[float]]) -> tuple[int, float]:
    """Runs of N events that trip at A, and the mean of M at the end."""
    spec = SignalSpec("price", TOLERANCE, LIMIT)
    tripped, total = 0, 0.0
    detector = DriftDetector([spec], {"price": reference}, threshold=A, warn=A)
    for _ in range(RUNS):
        detector.reset()
        for x in islice(stream(), N):
            detector.update("price", x)
        tripped += detector.tripped
        total += math.exp(min(detector.log_evidence, 10.0))
    return tripped, total / RUNS


@pytest.mark.parametrize("edge", [0.0, TOLERANCE, -TOLERANCE])
@pytest.mark.parametrize("kind", ["gaussian", "heavy", "autoregressive", "zeros", "switching"])
def test_trips_within_n_events_stay_below_n_over_a(noise: Callable, kind: str, edge: float) -> None:
    source = noise(20260101)
    rng = source.rng
    # Caps are true bounds of each kind; scale .003 and a Student t3 of 25 bps as in `price`.
    caps = (0.055, 0.011, 0.0016)
    scale, phi = 0.0028, 0.0

    def heavy() -> Iterator[float]:
        return source.price()

    def gaussian() -> Iterator[float]:
        return source.iid(lambda r: r.gauss(0.0, scale))

    def autoregressive() -> Iterator[float]:
        return source.autoregressive(0.2)

    def zeros() -> Iterator[float]:
        return source.zeros(0.6)

    def switching() -> Iterator[float]:
        """The worst that dependence may do: the shift picks its sign from the past."""
        last = 0.0
        while True:
            last = math.copysign(abs(edge), last) + next(heavy()) - edge
            yield last

    if kind == "autoregressive":
        phi = 0.2
    stream = {
        "gaussian": gaussian,
        "heavy": heavy,
        "autoregressive": autoregressive,
        "zeros": zeros,
        "switching": switching,
    }[kind]
    reference = declared_reference("price", scale=scale, phi=phi, tail_caps=caps)
    tripped, mean = trips(reference, lambda: (x + edge for x in stream()))
    assert rng is not None
    bound = N / A
    assert tripped / RUNS <= bound + 3.0 * math.sqrt(bound * (1.0 - bound) / RUNS)
    assert mean <= N


def test_the_bound_is_not_kept_by_never_tripping(noise: Callable) -> None:
    """Just outside the null the same small threshold is crossed nearly always."""
    source = noise(7)
    reference = declared_reference("price", scale=0.0028, tail_caps=(0.055, 0.011, 0.0016))
    tripped, _ = trips(reference, lambda: (x + 10 * TOLERANCE for x in source.price()))
    assert tripped > 0.9 * RUNS


@pytest.mark.parametrize(
    "kind",
    [
        "price",
        "ar.2",
        "ar.35",
        "ar-.3",
        "clustered",
        "zeros60",
        "zeros96",
        "ticks",
        "skew",
        "spikes",
    ],
)
def test_a_learned_reference_never_trips_on_its_own_kind(noise: Callable, kind: str) -> None:
    source = noise(31)
    stream = {
        "price": source.price,
        "ar.2": lambda: source.autoregressive(0.2),
        "ar.35": lambda: source.autoregressive(0.35),
        "ar-.3": lambda: source.autoregressive(-0.3),
        "clustered": source.clustered,
        "zeros60": lambda: source.zeros(0.6),
        "zeros96": lambda: source.zeros(0.96),
        "ticks": lambda: source.ticks(0.005),
        "skew": source.skewed,
        "spikes": source.spikes,
    }[kind]()
    learner = ReferenceLearner("price", 5_000, tick=0.005 if kind == "ticks" else 0.0, floor=1e-4)
    for x in islice(stream, 5_000):
        learner.add(x)
    detector = DriftDetector(
        [SignalSpec("price", TOLERANCE, LIMIT)], {"price": learner.finish()}, warn=1e11
    )
    worst = 0.0
    for index, x in enumerate(islice(stream, 60_000)):
        detector.update("price", x)
        if index % 100 == 0:
            worst = max(worst, detector.score())
    assert not detector.warned
    assert worst <= 0.05
