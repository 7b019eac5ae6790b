"""No float, in any order, raises, overflows, poisons the evidence or passes for drift."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tidegate.core.drift import DriftDetector, ReversedTest, SignalSpec, declared_reference

SPECS = [SignalSpec("price", 5e-4, 1e-2), SignalSpec("latency", 0.05, 0.2, weight=3.0)]
REFERENCES = {
    "price": declared_reference("price", scale=0.003, phi=0.5),
    "latency": declared_reference("latency", scale=0.4, phi=-0.5, center=0.1),
}
HARD = [1e308, -1e308, 1.7976931348623157e308, 5e-324, -5e-324, 0.0, -0.0, 1e-308]
ANY = st.one_of(st.floats(), st.sampled_from(HARD))


def detector(**settings_: float) -> DriftDetector:
    return DriftDetector(SPECS, REFERENCES, **settings_)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(["price", "latency"]), ANY), max_size=80))
@example([("price", x) for x in HARD * 4])
def test_any_stream_of_floats_leaves_finite_numbers(events: list[tuple[str, float]]) -> None:
    gate = detector()
    tests = {spec.family: ReversedTest(spec, REFERENCES[spec.family]) for spec in SPECS}
    for family, x in events:
        gate.update(family, x)
        tests[family].update(x)
        assert gate.log_evidence == -math.inf or math.isfinite(gate.log_evidence)
        assert 0.0 <= gate.score() <= 1.0
        assert 0.0 <= tests[family].p_value <= 1.0
    for signal in gate.signals():
        assert all(map(math.isfinite, (signal.estimate, signal.low, signal.high)))
        assert signal.low <= signal.estimate <= signal.high
        assert 0.0 <= signal.score <= gate.score() + 1e-12
    assert gate.invalid == sum(not math.isfinite(x) for _, x in events)
    json.dumps(gate.to_dict(), allow_nan=False)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_extreme_scales_leave_finite_numbers(scale: float) -> None:
    spec = SignalSpec("price", 0.0, 1.0)
    gate = DriftDetector([spec], {"price": declared_reference("price", scale=scale, phi=0.3)})
    for x in HARD * 3:
        gate.update("price", x)
        assert math.isfinite(gate.score())


def test_a_long_drift_stops_at_the_ceiling_and_evidence_falls_again() -> None:
    gate = detector()
    for _ in range(5_000):
        gate.update("price", 1e308)
    top = gate.log_evidence
    assert 500.0 < top < 600.0
    for index in range(1_000):
        gate.update("price", 0.002 * (-1) ** index)
    assert gate.log_evidence < top - 5.0
    assert gate.tripped


@pytest.mark.parametrize("x", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_no_number_neither_trips_nor_clears(x: float) -> None:
    gate = detector()
    for _ in range(6):
        gate.update("price", 0.01)
    before = gate.to_dict()
    for _ in range(10_000):
        gate.update("price", x)
    assert not gate.tripped
    assert gate.to_dict() == {**before, "invalid": 10_000}
    reversed_test = ReversedTest(SPECS[0], REFERENCES["price"])
    for _ in range(100):
        reversed_test.update(x)
    assert (reversed_test.p_value, reversed_test.events, reversed_test.invalid) == (1.0, 0, 100)


def test_an_unwatched_family_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError, match="volume"):
        detector().update("volume", 0.0)


def test_senseless_settings_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match="at least one signal"):
        DriftDetector([], {})
    with pytest.raises(ValueError, match=r"more of \['price'\]"):
        DriftDetector([SPECS[0], SPECS[0]], REFERENCES)
    with pytest.raises(ValueError, match=r"reference of \['latency'\]"):
        DriftDetector(SPECS, {"price": REFERENCES["price"]})
    for threshold in (1.0, math.inf, math.nan, 1e201):
        with pytest.raises(ValueError, match="threshold"):
            detector(threshold=threshold)
    with pytest.raises(ValueError, match="warn"):
        detector(threshold=1e5)
    for arguments in (("price", -1.0, 1.0), ("price", 1.0, 1.0), ("price", 0.0, math.inf)):
        with pytest.raises(ValueError, match="signal price"):
            SignalSpec(*arguments)
    with pytest.raises(ValueError, match="family"):
        SignalSpec("mood", 0.0, 1.0)
    with pytest.raises(ValueError, match="weight"):
        SignalSpec("price", 0.0, 1.0, weight=0.0)
