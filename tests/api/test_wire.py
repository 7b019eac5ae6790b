"""What is encoded is decoded unchanged; anything else is a ValueError and nothing else."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.api import wire

NUMBER = st.floats(allow_nan=False, allow_infinity=False)
COUNT = st.integers(-(2**63), 2**63 - 1)
KINDS: tuple[type[wire.Report], ...] = (
    wire.Step, wire.Order, wire.Ack, wire.Fill, wire.Done, wire.Quote, wire.Probe,
)  # fmt: skip
st.register_type_strategy(float, NUMBER)
st.register_type_strategy(int, COUNT)
REPORTS = st.lists(st.one_of([st.from_type(kind) for kind in KINDS]), max_size=8)
EVIDENCE = st.from_type(wire.Evidence)
# Close to right is what finds holes: real messages with values swapped for others.
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | NUMBER | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(REPORTS)
def test_reports_survive_the_socket(reports: list[wire.Report]) -> None:
    assert wire.decode_reports(wire.encode_reports(reports)) == reports


@given(EVIDENCE)
def test_evidence_survives_the_stream(evidence: wire.Evidence) -> None:
    line = wire.encode_evidence(evidence)
    assert line.endswith(b"\n")
    assert b"\n" not in line[:-1]
    assert wire.decode_evidence(line) == evidence


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
def test_garbage_is_a_value_error(data: bytes) -> None:
    for decode in (wire.decode_reports, wire.decode_evidence):
        try:
            decode(data)
        except ValueError:
            continue


@given(REPORTS.filter(bool), st.data())
def test_a_report_with_a_field_of_any_value_is_read_or_a_value_error(
    reports: list[wire.Report], data: st.DataObject
) -> None:
    messages = json.loads(wire.encode_reports(reports))
    message = data.draw(st.sampled_from(messages))
    message[data.draw(st.sampled_from(sorted(message)))] = data.draw(JSON)
    try:
        read = wire.decode_reports(json.dumps(messages).encode())
    except ValueError:
        return
    assert all(isinstance(report, KINDS) for report in read)


@given(EVIDENCE, st.data())
def test_evidence_cut_short_is_a_value_error(evidence: wire.Evidence, data: st.DataObject) -> None:
    line = wire.encode_evidence(evidence)
    cut = data.draw(st.integers(0, len(line) - 2))
    with pytest.raises(ValueError):
        wire.decode_evidence(line[:cut])


@pytest.mark.parametrize("opening", [b"[", b'{"x":', b'[{"type":"step","x":'])
def test_nesting_without_end_is_a_value_error(opening: bytes) -> None:
    for decode in (wire.decode_reports, wire.decode_evidence):
        with pytest.raises(ValueError):
            decode(opening + b"[" * 100_000)


def test_one_report_needs_no_array() -> None:
    assert wire.decode_reports(b'{"type":"step","n":1,"at":2,"latency":3}') == [wire.Step(1, 2, 3)]


def test_fields_of_a_later_version_are_passed_over() -> None:
    report = b'{"type":"step","n":1,"at":2,"latency":3,"later":{"a":[1]}}'
    assert wire.decode_reports(report) == [wire.Step(1, 2, 3)]


def test_an_unknown_report_is_named() -> None:
    with pytest.raises(ValueError, match="teleport"):
        wire.decode_reports(b'{"type":"teleport"}')
