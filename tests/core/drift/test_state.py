"""A detector that was stored and read back goes on as if nothing had happened."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.core.drift import DriftDetector, SignalSpec, declared_reference

EVENTS = st.lists(
    st.tuples(st.sampled_from(["price", "market"]), st.floats(-1e3, 1e3) | st.just(math.nan)),
    max_size=60,
)


def gate() -> DriftDetector:
    return DriftDetector(
        [SignalSpec("market", 0.2, 2.0, weight=0.3), SignalSpec("price", 0.1, 3.0)],
        {
            "price": declared_reference("price", scale=1.0, phi=0.3),
            "market": declared_reference("market", scale=2.0, center=-0.7),
        },
        threshold=1e9,
        warn=1e3,
        floors={"price": 1.5},
    )


@settings(max_examples=80)
@given(EVENTS, EVENTS)
def test_it_continues_bit_for_bit(
    before: list[tuple[str, float]], after: list[tuple[str, float]]
) -> None:
    detector = gate()
    for family, x in before:
        detector.update(family, x)
    text = json.dumps(detector.to_dict(), allow_nan=False)
    copy = DriftDetector.from_dict(json.loads(text))
    for family, x in after:
        detector.update(family, x)
        copy.update(family, x)
        assert (copy.log_evidence, copy.tripped) == (detector.log_evidence, detector.tripped)
    assert copy.to_dict() == detector.to_dict()
    assert copy.signals() == detector.signals()
    assert (copy.score(), copy.invalid) == (detector.score(), detector.invalid)


def test_the_latch_survives() -> None:
    detector = gate()
    for _ in range(60):
        detector.update("price", 9.0)
    for _ in range(1_000):
        detector.update("price", 0.0)
    copy = DriftDetector.from_dict(detector.to_dict())
    assert copy.tripped
    assert copy.score() == 1.0


def broken(change: dict[str, Any], family: dict[str, Any]) -> dict[str, Any]:
    detector = gate()
    for _ in range(20):
        detector.update("price", 0.5)
    payload = json.loads(json.dumps(detector.to_dict()))
    payload.update(change)
    payload["families"][0].update(family)
    return payload


@pytest.mark.parametrize(
    ("change", "family", "message"),
    [
        ({"version": 7}, {}, "version 1 expected, found 7"),
        ({"threshold": "big"}, {}, "threshold must be a number, found 'big'"),
        ({"tripped": 1}, {}, "tripped must be true or false, found 1"),
        ({"invalid": -1}, {}, "invalid must be an integer >= 0"),
        ({"families": []}, {}, "at least one signal"),
        ({}, {"family": "mood"}, "family must be one of"),
        ({}, {"components": [1.0]}, "components must have 22 items, found 1"),
        ({}, {"components": [-1.0] * 22}, "components must be within"),
        ({}, {"components": [math.inf] * 22}, "components must be finite"),
        ({}, {"previous": 1e9}, "previous must be within"),
        ({}, {"events": 2.5}, "events must be an integer"),
        ({}, {"window": None}, "shift window: expected an object"),
        ({}, {"volatility": [1e9, None]}, "volatility must be within"),
        ({}, {"reference": 3}, "reference must be an object, found 3"),
    ],
)
def test_a_broken_state_is_refused_by_name(
    change: dict[str, Any], family: dict[str, Any], message: str
) -> None:
    payload = broken({}, family)
    payload.update(change)
    with pytest.raises(ValueError, match=message):
        DriftDetector.from_dict(payload)


def broken_at(name: str, value: Any) -> dict[str, Any]:
    if name == "families":
        return {**broken({}, {}), "families": value}
    return broken({}, {name: value})


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=8,
    )
)
def test_any_json_raises_nothing_but_value_error(payload: Any) -> None:
    with pytest.raises(ValueError):
        DriftDetector.from_dict(payload)
    for name in ("families", "reference", "window", "components"):
        with pytest.raises(ValueError):
            DriftDetector.from_dict(broken_at(name, payload))
