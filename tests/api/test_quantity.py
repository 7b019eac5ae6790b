"""Quantities and durations are exact, as the apiserver reads them, and refuse all else."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.api.quantity import (
    format_quantity,
    parse_duration,
    parse_duration_ms,
    parse_quantity,
)

RESOURCES = ("requests.cpu", "limits.memory", "requests.storage", "pods", "example.com/gpu")
MILLI = st.integers(0, 10**15).map(lambda n: Decimal(n).scaleb(-3))
UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


@given(MILLI, st.sampled_from(RESOURCES))
def test_what_is_formatted_is_read_back_exactly(value: Decimal, resource: str) -> None:
    assert parse_quantity(format_quantity(value, resource)) == value


@given(st.integers(0, 2**63 - 1), st.sampled_from(["", "m", "u", "n"]))
def test_small_suffixes_divide_exactly(number: int, suffix: str) -> None:
    power = {"": 0, "m": 3, "u": 6, "n": 9}[suffix]
    assert parse_quantity(f"{number}{suffix}") == Decimal(number).scaleb(-power)


@given(st.lists(MILLI, max_size=20))
def test_a_sum_of_parts_is_the_whole(parts: list[Decimal]) -> None:
    """0.1 + 0.2 CPU fit a quota of 0.3."""
    text = [format_quantity(part, "cpu") for part in parts]
    assert sum(map(parse_quantity, text), Decimal(0)) == sum(parts, Decimal(0))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", "2"), ("100m", "0.1"), ("1.5Gi", "1610612736"), ("1e3", "1000"), ("1E3", "1000"),
        (".5", "0.5"), ("5.", "5"), ("-1", "-1"), ("+1k", "1000"), ("1E", "1e18"), (3, "3"),
        ("0", "0"), ("0e99999", "0"), ("1n", "1e-9"), ("0.1n", "1e-9"), ("1e-99999", "1e-9"),
        ("1e99999999", "9223372036854775807"), ("-9999E", "-9223372036854775807"),
    ],
)  # fmt: skip
def test_reads_what_kubernetes_writes(text: str | int, value: str) -> None:
    assert parse_quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "abc", "1 Gi", "1gi", "1Kb", "0x1", "NaN", "inf", "--1", "m"])
def test_names_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="expected a Kubernetes quantity"):
        parse_quantity(text)


@given(st.text() | st.from_regex(r"[+-]?[0-9.]*([eE][+-]?[0-9]*)?[a-zA-Z]{0,2}", fullmatch=True))
def test_any_text_is_a_finite_quantity_or_a_value_error(text: str) -> None:
    try:
        value = parse_quantity(text)
    except ValueError:
        return
    assert value.is_finite()
    assert abs(value) < 2**63
    assert len(format_quantity(value)) < 40


@given(st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(sorted(UNITS))), min_size=1))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    text = "".join(f"{number}{unit}" for number, unit in parts)
    assert parse_duration_ms(text) == sum(number * UNITS[unit] for number, unit in parts)


def test_a_duration_in_seconds() -> None:
    assert parse_duration("1h30m") == 5400.0
    assert parse_duration("100ms") == 0.1


@pytest.mark.parametrize("text", ["", "5", "s", "-5s", "1.5s", "5 s", "5S", "1d", "5s\n"])
def test_names_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as 5s"):
        parse_duration_ms(text)


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        assert parse_duration_ms(text) >= 0
    except ValueError:
        return
