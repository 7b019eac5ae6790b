"""The reported shift: where, since when, and how sure."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

import pytest

from tidegate.core.drift import DriftDetector, Reference, SignalSpec
from tidegate.core.drift.shift import LEAF, WIDE, ShiftWindow

REFERENCE = Reference("price", 0.0, 0.0028, 0.0, 0.0, (0.055, 0.011, 0.0016), 5_000)


def gate() -> DriftDetector:
    return DriftDetector([SignalSpec("price", 5e-4, 1e-2)], {"price": REFERENCE})


def test_the_interval_covers_at_all_times_at_once(noise: Callable) -> None:
    """Checked along every run, not at its end: misses of any moment count, 5 % are allowed."""
    missed = 0
    for run in range(60):
        stream, detector = noise(run).price(), gate()
        covered = True
        for index, x in enumerate(islice(stream, 1_500)):
            detector.update("price", x + 0.002)
            if index % 10 == 0:
                (state,) = detector.signals()
                covered &= state.low <= 0.002 <= state.high
        missed += not covered
    assert missed <= 3


def test_the_interval_narrows(noise: Callable) -> None:
    detector, widths = gate(), []
    stream = noise(1).price()
    for size in (100, 1_000, 10_000):
        for x in islice(stream, size):
            detector.update("price", x)
        (state,) = detector.signals()
        widths.append(state.high - state.low)
    assert widths[0] > 3.0 * widths[1] > 6.0 * widths[2]


@pytest.mark.parametrize("shift", [0.005, -0.01, 0.02])
def test_after_a_long_healthy_time_the_estimate_is_of_the_drift(
    noise: Callable, shift: float
) -> None:
    detector, stream = gate(), noise(2).price()
    for x in islice(stream, 20_000):
        detector.update("price", x)
    assert abs(detector.signals()[0].estimate) < 1e-4
    while not detector.tripped:
        detector.update("price", next(stream) + shift)
    (state,) = detector.signals()
    assert state.estimate == pytest.approx(shift, rel=0.4)
    assert state.low <= shift <= state.high


@pytest.mark.parametrize("phi", [0.4, -0.4])
def test_whitening_does_not_scale_the_estimate(noise: Callable, phi: float) -> None:
    reference = Reference("price", 0.01, 0.0028, phi, 0.0, (0.055, 0.011, 0.0016), 5_000)
    detector = DriftDetector([SignalSpec("price", 5e-4, 1e-2)], {"price": reference})
    for x in islice(noise(3).autoregressive(phi), 4_000):
        detector.update("price", 0.01 + x + 0.003)
    assert detector.signals()[0].estimate == pytest.approx(0.003, rel=0.1)


def test_an_empty_window_knows_nothing() -> None:
    assert ShiftWindow().estimate(0.05, drifting=False) == (0.0, -WIDE, WIDE, 0)


def test_memory_grows_with_the_logarithm_of_the_stream() -> None:
    window = ShiftWindow()
    for index in range(200_000):
        window.count += 1
        window.total += index % 7 - 3.0
        window.square += (index % 7 - 3.0) ** 2
        if window.count == LEAF:
            window.close_leaf()
    assert len(window.buckets) < 80
    assert sum(bucket[0] for bucket in window.buckets) == 200_000 // LEAF
    sizes = [bucket[0] for bucket in window.buckets]
    assert sizes == sorted(sizes, reverse=True)
    assert sum(bucket[2] for bucket in window.buckets) == sum(
        (index % 7 - 3.0) ** 2 for index in range(200_000)
    )


def test_a_window_chosen_late_pays_for_the_choice() -> None:
    """The same 80 events after 100,000 others allow less certainty than at the start."""

    def width(healthy: int) -> float:
        window = ShiftWindow()
        for index in range(healthy + 80):
            w = 0.1 * (-1.0) ** index + (3.0 if index >= healthy else 0.0)
            window.count += 1
            window.total += w
            window.square += w * w
            if window.count == LEAF:
                window.close_leaf()
        mean, low, _, events = window.estimate(0.05, drifting=True)
        assert (round(mean, 6), events) == (3.0, 80)
        return mean - low

    assert width(100_000) > 1.3 * width(0)
