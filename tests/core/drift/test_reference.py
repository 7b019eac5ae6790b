"""References: what is learned from hard samples, and what survives storage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.drift import Reference, ReferenceLearner, declared_reference
from tidegate.core.drift.robust import (
    clopper_pearson_upper,
    long_run_deviation,
    mad_scale,
    median,
)


def learn(values: list[float], *, tick: float = 0.0, floor: float = 1e-4) -> Reference:
    learner = ReferenceLearner("price", len(values), tick=tick, floor=floor)
    for value in values:
        learner.add(value)
    assert learner.complete
    return learner.finish()


def test_location_scale_and_autoregression_are_found(noise: Callable) -> None:
    source = noise(1)
    values = [0.002 + x for x in islice(source.autoregressive(0.35), 5_000)]
    reference = learn(values)
    assert abs(reference.center - 0.002) <= reference.center_error <= 4e-4
    assert reference.scale == pytest.approx(0.0028, rel=0.06)
    assert reference.phi == pytest.approx(0.35, abs=0.04)
    assert reference.events == 5_000


@pytest.mark.parametrize("phi", [0.9, -0.9])
def test_phi_stays_within_a_half(noise: Callable, phi: float) -> None:
    assert learn(list(islice(noise(2).autoregressive(phi), 2_000))).phi == math.copysign(0.5, phi)


@pytest.mark.parametrize("share", [0.6, 0.96])
def test_exact_zeros_leave_the_declared_floor(noise: Callable, share: float) -> None:
    values = list(islice(noise(3).zeros(share), 5_000))
    reference = learn(values)
    assert reference.scale == 1e-4
    assert abs(reference.center) <= reference.center_error
    assert reference.tail_caps[0] >= sum(value > 2e-4 for value in values) / 5_000 * 0.5
    assert reference.tail_caps[0] < 0.5


def test_all_equal_values_are_a_reference_too() -> None:
    reference = learn([0.001] * 500)
    assert (reference.center, reference.scale, reference.phi) == (0.001, 1e-4, 0.0)
    assert reference.tail_caps == (clopper_pearson_upper(0, 500, 1e-3),) * 3


def test_ticks_coarser_than_the_noise_set_the_scale(noise: Callable) -> None:
    values = list(islice(noise(4).ticks(0.02), 3_000))
    assert learn(values, tick=0.02).scale == 0.01


def test_spikes_do_not_move_the_center_or_the_scale(noise: Callable) -> None:
    values = list(islice(noise(5).spikes(), 5_000))
    mean = sum(values) / 5_000
    fourth = sum((v - mean) ** 4 for v in values) / 5_000
    assert fourth / (sum((v - mean) ** 2 for v in values) / 5_000) ** 2 > 100
    reference = learn(values)
    assert reference.scale == pytest.approx(0.002, rel=0.05)
    assert abs(reference.center) <= reference.center_error < 2e-4


def test_the_center_of_skewed_values_is_where_the_clipped_mean_is_zero(noise: Callable) -> None:
    reference = learn(list(islice(noise(6).skewed(), 5_000)))
    fresh = list(islice(noise(60).skewed(), 40_000))
    assert reference.center_error < 0.1 * reference.scale
    bound = 1.25 * reference.scale
    clipped = [min(max(x - reference.center, -bound), bound) for x in fresh]
    assert abs(sum(clipped) / 40_000) <= reference.center_error
    assert abs(sum(fresh) / 40_000 - reference.center) > 3 * reference.center_error
    assert reference.offset > reference.center_error


def test_bursts_raise_the_caps_above_the_marginal_rate() -> None:
    """Exceedances in a row are evidence against independence; scattered ones are not."""
    calm = [0.001 * (-1) ** i for i in range(4_000)]
    scattered, burst = list(calm), list(calm)
    for k in range(20):
        scattered[100 + 190 * k] = 0.0162
        burst[2_000 + k] = 0.0162
    assert learn(burst).tail_caps[1] > 2.0 * learn(scattered).tail_caps[1]


def test_what_is_no_number_is_left_out_and_more_than_needed_ignored() -> None:
    learner = ReferenceLearner("price", 100, floor=1.0)
    for x in (math.nan, math.inf, -math.inf):
        learner.add(x)
    assert (learner.count, learner.invalid, learner.complete) == (0, 3, False)
    with pytest.raises(RuntimeError, match="100 events expected, found 0"):
        learner.finish()
    for _ in range(150):
        learner.add(1.0)
    assert (learner.count, learner.complete) == (100, True)
    learner.add(1e9)
    assert learner.finish().center == 1.0


def test_a_learner_needs_enough_events_and_a_floor() -> None:
    with pytest.raises(ValueError, match="at least 100"):
        ReferenceLearner("price", 99, floor=1.0)
    for floor in (0.0, -1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="floor"):
            ReferenceLearner("price", 100, floor=floor)
    with pytest.raises(ValueError, match="tick"):
        ReferenceLearner("price", 100, tick=-1.0, floor=1.0)


@given(st.lists(st.floats(-1e150, 1e150), min_size=100, max_size=120))
def test_any_numbers_give_a_valid_reference(values: list[float]) -> None:
    reference = learn(values, floor=1e-3)
    assert Reference.from_dict(json.loads(json.dumps(reference.to_dict()))) == reference


@pytest.mark.parametrize(
    ("hits", "events", "alpha", "upper"),
    # Closed form for no hits: 1 - alpha ** (1 / n); the others from tables of the beta quantile.
    [
        (0, 100, 0.05, 1 - 0.05 ** (1 / 100)),
        (0, 5_000, 1e-3, 1 - 1e-3 ** (1 / 5_000)),
        (1, 10, 0.025, 0.44502),
        (5, 50, 0.025, 0.21814),
        (10, 10, 0.05, 1.0),
    ],
)
def test_clopper_pearson(hits: int, events: int, alpha: float, upper: float) -> None:
    assert clopper_pearson_upper(hits, events, alpha) == pytest.approx(upper, rel=1e-4)


def test_clopper_pearson_holds_its_level() -> None:
    for hits in (3, 400, 2_500, 4_990):
        p = clopper_pearson_upper(hits, 5_000, 0.01)
        logs = [
            math.lgamma(5_001)
            - math.lgamma(k + 1)
            - math.lgamma(5_001 - k)
            + k * math.log(p)
            + (5_000 - k) * math.log1p(-p)
            for k in range(hits + 1)
        ]
        assert math.fsum(map(math.exp, logs)) == pytest.approx(0.01, rel=1e-6)


def test_median_and_mad() -> None:
    assert (median([3.0, 1.0, 2.0]), median([4.0, 1.0, 2.0, 3.0])) == (2.0, 2.5)
    assert mad_scale([1.0, 2.0, 3.0, 4.0, 100.0]) == pytest.approx(1.4826)


def test_the_digest_names_the_content() -> None:
    one = declared_reference("price", scale=0.003)
    assert one.digest() == Reference.from_dict(one.to_dict()).digest()
    assert len(one.digest()) == 64
    assert one.digest() != declared_reference("volume", scale=0.003).digest()
    assert one.digest() != declared_reference("price", scale=0.0030000000000000001e-1).digest()
    assert one.digest() == declared_reference("price", scale=0.003, center=-0.0).digest()


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("scale", 0.0, "scale must be within"),
        ("scale", "3", "scale must be a number, found '3'"),
        ("scale", True, "scale must be a number"),
        ("phi", 0.6, "phi must be within"),
        ("center", math.nan, "center must be finite"),
        ("tick", -1.0, "tick must be finite and >= 0"),
        ("tailCaps", [0.1, 0.2, 0.01], "tail_caps must not increase"),
        ("tailCaps", [0.1, 0.01], "tailCaps must have 3 items, found 2"),
        ("tailCaps", [0.1, 0.01, 0.0], "tail_caps must be 3 values"),
        ("events", 1.5, "events must be an integer"),
        ("events", -1, "events must be an integer >= 0"),
        ("family", "mood", "family must be one of"),
        ("family", 3, "family must be a string"),
        ("version", 2, "version must be 1, found 2"),
        ("centerError", -1.0, "center_error must be finite and >= 0"),
    ],
)
def test_a_wrong_field_is_named(name: str, value: object, message: str) -> None:
    payload = {**declared_reference("price", scale=1.0).to_dict(), name: value}
    with pytest.raises(ValueError, match=message):
        Reference.from_dict(payload)


def test_a_missing_field_is_named() -> None:
    payload = declared_reference("price", scale=1.0).to_dict()
    del payload["scale"]
    with pytest.raises(ValueError, match="scale expected, found nothing"):
        Reference.from_dict(payload)


def test_the_center_of_dependent_values_is_less_certain(noise: Callable) -> None:
    rng = noise(7).rng
    scattered = [rng.gauss(0.0, 1.0) for _ in range(3_200)]
    steps = [value for value in scattered[:100] for _ in range(32)]
    assert long_run_deviation(scattered) == pytest.approx(1.0, rel=0.3)
    assert long_run_deviation(steps) > 4.0


def test_a_wandering_center_widens_the_margin_until_it_is_no_drift(noise: Callable) -> None:
    """Two healthy regimes half a scale apart: the reference may not call either one drift."""
    rng = noise(8).rng
    reference = learn(
        [rng.gauss(0.0, 1.0) + (0.5 if i // 500 % 2 else -0.5) for i in range(5_000)], floor=1e-3
    )
    assert reference.center_error > 0.3 * reference.scale
