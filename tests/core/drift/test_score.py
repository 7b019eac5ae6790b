"""What the score means, and what it must not depend on."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.core.drift import (
    FAMILIES,
    DriftDetector,
    Reference,
    SignalSpec,
    declared_reference,
)

SIZES = st.lists(st.floats(-8.0, 8.0), min_size=1, max_size=40)


def gate(
    unit: float = 1.0, tolerance: float = 0.2, phi: float = 0.25, **more: float
) -> DriftDetector:
    return DriftDetector(
        [SignalSpec("price", tolerance * unit, 3.0 * unit)],
        {"price": declared_reference("price", scale=unit, phi=phi)},
        **more,
    )


def feed(detector: DriftDetector, values: list[float], family: str = "price") -> DriftDetector:
    for value in values:
        detector.update(family, value)
    return detector


@settings(max_examples=60)
@given(SIZES, st.floats(1e-6, 1e6))
def test_the_unit_of_x_does_not_matter(values: list[float], unit: float) -> None:
    plain = feed(gate(), values)
    scaled = feed(gate(unit), [value * unit for value in values])
    # A residual on the very edge of a level may round to either side of it.
    if plain.log_evidence == pytest.approx(scaled.log_evidence, abs=1e-6):
        one, other = plain.signals()[0], scaled.signals()[0]
        assert one.estimate * unit == pytest.approx(other.estimate, rel=1e-6, abs=1e-9 * unit)
        assert one.minimum_detectable * unit == pytest.approx(other.minimum_detectable)
    else:
        assert any(abs(abs(y) - edge) < 1e-6 for y in edges(values) for edge in (2, 4, 8))


def edges(values: list[float]) -> list[float]:
    return [abs(value - 0.25 * before) - 0.15 for before, value in pairwise(values)]


@settings(max_examples=60)
@given(SIZES)
def test_powers_of_two_and_signs_change_nothing_at_all(values: list[float]) -> None:
    plain = feed(gate(), values).log_evidence
    assert feed(gate(2.0**-20), [value * 2.0**-20 for value in values]).log_evidence == plain
    mirrored = feed(gate(), [-value for value in values]).log_evidence
    assert mirrored == pytest.approx(plain, rel=1e-12)


@settings(max_examples=40)
@given(
    st.permutations(FAMILIES),
    st.lists(st.tuples(st.sampled_from(FAMILIES), st.floats(-9.0, 9.0)), max_size=60),
)
def test_the_order_of_families_does_not_matter(
    order: list[str], events: list[tuple[str, float]]
) -> None:
    specs = {
        family: SignalSpec(family, 0.1, 2.0, weight=1.0 + index / 3.0)
        for index, family in enumerate(FAMILIES)
    }
    references = {family: declared_reference(family, scale=1.0) for family in FAMILIES}
    one = DriftDetector([specs[family] for family in FAMILIES], references)
    other = DriftDetector([specs[family] for family in order], references)
    for family, x in events:
        one.update(family, x)
        other.update(family, x)
    # Between families only the order within a family counts.
    shuffled = DriftDetector([specs[family] for family in order], references)
    for family in order:
        for name, x in events:
            if name == family:
                shuffled.update(family, x)
    assert one.to_dict() == other.to_dict()
    assert one.log_evidence == other.log_evidence == shuffled.log_evidence
    if not (one.tripped or shuffled.tripped):
        assert one.score() == shuffled.score()


@settings(max_examples=60)
@given(SIZES, st.floats(2.0, 1e12))
def test_the_score_is_one_exactly_when_the_gate_trips(
    values: list[float], threshold: float
) -> None:
    detector = gate(threshold=threshold, warn=min(threshold, 1e6))
    for value in values:
        detector.update("price", value)
        now = detector.log_evidence >= math.log(threshold)
        assert detector.tripped or not now
        assert (detector.score() >= 1.0 - 1e-9) == detector.tripped
        if detector.tripped:
            break


def test_the_score_rises_with_the_evidence_and_starts_at_zero() -> None:
    detector = gate()
    assert (detector.score(), detector.log_evidence) == (0.0, -math.inf)
    feed(detector, [0.0, 0.1, -0.1] * 50)
    pairs = [(detector.log_evidence, detector.score())]
    while not detector.tripped:
        detector.update("price", 1.9)
        pairs.append((detector.log_evidence, detector.score()))
    assert pairs == sorted(pairs)
    assert (pairs[0][1], pairs[-1][1]) == (0.0, 1.0)
    assert len({score for _, score in pairs}) > 10


@settings(max_examples=60)
@given(SIZES, st.floats(0.0, 2.0), st.floats(1.0, 1e6))
def test_more_evidence_at_equal_events_never_scores_less(
    values: list[float], more: float, weight: float
) -> None:
    """Pushing every residual of an upward drift further up can only raise the score."""
    up = [abs(value) + 2.5 for value in values]
    low = feed(gate(phi=0.0), up)
    high = feed(gate(phi=0.0), [value + 10.0 + more for value in up])
    assert (high.log_evidence >= low.log_evidence) == (high.score() >= low.score())


def test_a_trip_latches_until_reset_and_a_warning_does_not() -> None:
    detector = feed(gate(), [4.0] * 12)
    assert detector.warned
    assert not detector.tripped
    feed(detector, [0.0] * 400)
    assert not detector.warned
    feed(detector, [4.0] * 40)
    assert detector.tripped
    feed(detector, [0.0] * 2_000)
    assert detector.tripped
    assert detector.warned
    assert detector.score() == 1.0
    detector.reset()
    fresh = gate()
    assert detector.to_dict() == fresh.to_dict()
    assert (detector.tripped, detector.score(), detector.log_evidence) == (False, 0.0, -math.inf)


def test_the_score_of_the_drifting_family_is_the_gates_score() -> None:
    specs = [SignalSpec("price", 0.1, 2.0), SignalSpec("volume", 0.1, 2.0)]
    references = {name: declared_reference(name, scale=1.0) for name in ("price", "volume")}
    detector = DriftDetector(specs, references)
    for index in range(12):
        detector.update("price", 2.6)
        detector.update("volume", 0.3 * (-1) ** index)
    price, volume = detector.signals()
    assert price.family == "price"
    assert price.score == pytest.approx(detector.score(), abs=0.01)
    assert volume.score == 0.0
    assert (price.events, volume.events) == (12, 12)


def test_a_heavier_family_trips_sooner() -> None:
    def delay(weight: float) -> int:
        detector = DriftDetector(
            [SignalSpec("price", 0.1, 2.0, weight), SignalSpec("volume", 0.1, 2.0)],
            {name: declared_reference(name, scale=1.0) for name in ("price", "volume")},
        )
        events = 0
        while not detector.tripped:
            detector.update("price", 1.5)
            events += 1
        return events

    assert delay(1e6) < delay(1.0) < delay(1e-9)


def test_the_minimum_detectable_shift_is_detected_in_the_events_it_promises(
    noise: Callable[[int], object],
) -> None:
    rng = noise(11).rng  # type: ignore[attr-defined]
    reference = Reference("price", 0.0, 1.0, 0.0, 0.0, (0.05, 0.01, 0.002), 5000)
    delays = []
    for _ in range(8):
        detector = DriftDetector([SignalSpec("price", 0.1, 2.0)], {"price": reference})
        shift = detector.minimum_detectable("price", 500)
        events = 0
        while not detector.tripped and events < 2_000:
            detector.update("price", shift + rng.gauss(0.0, 1.0))
            events += 1
        delays.append(events)
    assert sum(delays) / len(delays) <= 500
    assert (
        detector.minimum_detectable("price", 50)
        > shift
        > detector.minimum_detectable("price", 50_000)
    )
