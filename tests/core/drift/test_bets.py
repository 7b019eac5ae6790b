"""Every bet has conditional mean <= 1 anywhere in the null, and wins outside it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.drift import Reference, SignalSpec, declared_reference
from tidegate.core.drift.bets import (
    CLIP,
    MEAN_LAMBDAS,
    TAIL_LAMBDAS,
    TAIL_LEVELS,
    Scaled,
    smallest_shift,
    tail_factors,
)
from tidegate.core.drift.track import FamilyTrack

CAPS = (0.10, 0.025, 0.005)


def make(tolerance: float, phi: float = 0.0) -> FamilyTrack:
    spec = SignalSpec("price", tolerance, 10.0)
    reference = declared_reference("price", scale=1.0, phi=phi, tail_caps=CAPS)
    return FamilyTrack(spec, reference, 1.0, 0.0)


def first_bets(track: FamilyTrack, x: float) -> tuple[float, ...]:
    track.reset()
    track.take(x)
    return track.components  # (0 + 1) * L


# A healthy innovation that spends its caps to the last: all mass allowed beyond each level sits
# there, on both sides, and the rest where a mean bet likes it best.
WORST = [
    (sign * size, mass)
    for sign in (1.0, -1.0)
    for size, mass in (
        (100.0, CAPS[2]),
        (7.9, CAPS[1] - CAPS[2]),
        (3.9, CAPS[0] - CAPS[1]),
        (1.0, 0.5 - CAPS[0]),
    )
]


@given(
    tolerance=st.floats(0.0, 3.0),
    share=st.floats(-1.0, 1.0),
)
def test_no_bet_wins_on_average_within_the_tolerance(tolerance: float, share: float) -> None:
    track = make(tolerance)
    means = [0.0] * len(track.components)
    for size, mass in WORST:
        for index, factor in enumerate(first_bets(track, size + share * tolerance)):
            means[index] += mass * factor
    assert max(means) <= 1.0 + 1e-9


def test_skewed_innovations_are_fair_about_their_huber_location() -> None:
    # 80 % at -.25 and 20 % at +9: the mean is 1.6, the clipped mean 0.05 and not 0.
    values = [(-0.25, 0.8), (9.0, 0.2)]
    root = -(0.2 * CLIP) / 0.8  # clip(a) * .8 + CLIP * .2 = 0
    centred = [(root, 0.8), (9.0, 0.2)]
    up = slice(0, len(MEAN_LAMBDAS))
    track = make(0.0)

    def mean_bets(cases: list[tuple[float, float]]) -> float:
        return max(
            sum(mass * first_bets(track, size)[index] for size, mass in cases)
            for index in range(up.stop)
        )

    assert mean_bets(centred) == pytest.approx(1.0)
    assert mean_bets(values) > 1.0


@pytest.mark.parametrize("shift", [1.5, -1.5])
def test_the_bets_on_the_right_side_win_outside_the_tolerance(shift: float) -> None:
    track = make(0.5)
    growth = [0.0] * len(track.components)
    for size, mass in WORST:
        for index, factor in enumerate(first_bets(track, size + shift)):
            growth[index] += mass * math.log(factor)
    half = len(MEAN_LAMBDAS)
    right = growth[:half] if shift > 0 else growth[half : 2 * half]
    wrong = growth[half : 2 * half] if shift > 0 else growth[:half]
    assert max(right) > 0.05
    assert max(wrong) < 0.0


@given(phi=st.floats(-0.5, 0.5), shift=st.floats(0.0, 1.0))
def test_whitening_scales_the_tolerance_with_the_shift(phi: float, shift: float) -> None:
    """A constant shift of exactly the tolerance is a draw: v = 0 for every later event."""
    track = make(shift, phi)
    for _ in range(3):
        track.take(shift)
    ups = track.components[: len(MEAN_LAMBDAS)]
    assert ups == pytest.approx((3.0 if phi == 0.0 else 2.0,) * len(ups), rel=1e-9)


def test_tail_factors_are_fair_at_the_cap() -> None:
    rows = tail_factors(CAPS)
    for level, cap in enumerate(CAPS):
        for stake in range(len(TAIL_LAMBDAS)):
            column = level * len(TAIL_LAMBDAS) + stake
            for exceeded in range(len(TAIL_LEVELS)):
                below, above = rows[min(exceeded, level)][column], rows[level + 1][column]
                assert (1.0 - cap) * below + cap * above == pytest.approx(1.0)


@given(cap=st.floats(1e-300, 1.0))
def test_tail_factors_stay_positive_and_finite(cap: float) -> None:
    for row in tail_factors((1.0, cap, min(cap, 1e-300))):
        assert all(0.0 < factor < 1e10 for factor in row)


def test_a_floor_and_half_a_tick_bound_the_scale() -> None:
    spec = SignalSpec("price", 1.0, 2.0)
    fine = declared_reference("price", scale=1e-3)
    assert Scaled.of(spec, fine, 0.5).inverse_scale == 2.0
    assert declared_reference("price", scale=1e-3, tick=0.5).scale == 0.25
    with pytest.raises(ValueError, match=r"signal price: .* found volume"):
        Scaled.of(spec, declared_reference("volume", scale=1.0))


def test_an_uncertain_center_widens_the_null_on_both_ends() -> None:
    def scaled(error: float) -> Scaled:
        reference = Reference("price", 0.0, 2.0, 0.5, 0.0, CAPS, 100, center_error=error)
        return Scaled.of(SignalSpec("price", 0.4, 2.0), reference)

    assert (scaled(0.0).margin, scaled(0.0).limit) == (0.1, 0.5)
    assert scaled(0.3).margin == 0.1  # within the tolerance
    assert scaled(0.8).margin == 0.2
    assert scaled(0.8).limit == pytest.approx(0.3)
    assert scaled(9.0).limit == 0.0


def test_smallest_shift_grows_with_the_demand_until_nothing_is_fast_enough() -> None:
    scaled = Scaled.of(SignalSpec("price", 0.1, 2.0), declared_reference("price", scale=1.0))
    slow, fast = smallest_shift(0.01, scaled), smallest_shift(0.1, scaled)
    assert 0.1 < slow < fast < 2.0
    assert smallest_shift(5.0, scaled) == math.inf
