"""Label selectors as Kubernetes reads them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.api.driftgate import LabelSelector, LabelSelectorRequirement
from tidegate.core.selector import matches

LABELS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))


def expression(operator: str, *values: str, key: str = "desk") -> LabelSelector:
    requirement = LabelSelectorRequirement(key=key, operator=operator, values=values)
    return LabelSelector(match_expressions=(requirement,))


@pytest.mark.parametrize(
    ("selector", "labels", "expected"),
    [
        (LabelSelector(match_labels={"desk": "a"}), {"desk": "a", "venue": "v"}, True),
        (LabelSelector(match_labels={"desk": "a"}), {"desk": "b"}, False),
        (LabelSelector(match_labels={"desk": "a", "venue": "v"}), {"desk": "a"}, False),
        (LabelSelector(match_labels={"desk": ""}), {}, False),
        (expression("In", "a", "b"), {"desk": "b"}, True),
        (expression("In", "a"), {}, False),
        (expression("In"), {"desk": "a"}, False),
        (expression("NotIn", "a"), {"desk": "b"}, True),
        (expression("NotIn", "a"), {"desk": "a"}, False),
        (expression("NotIn", "a"), {}, True),
        (expression("Exists"), {"desk": ""}, True),
        (expression("Exists"), {}, False),
        (expression("DoesNotExist"), {}, True),
        (expression("DoesNotExist"), {"desk": "a"}, False),
    ],
)
def test_requirement_holds_as_in_the_apiserver(
    selector: LabelSelector, labels: dict[str, str], expected: bool
) -> None:
    assert matches(selector, labels) is expected


@given(LABELS)
def test_empty_selector_selects_everything(labels: dict[str, str]) -> None:
    assert matches(LabelSelector(), labels)


@given(LABELS, st.sampled_from("abc"), st.lists(st.sampled_from("xyz")).map(tuple))
def test_each_operator_is_the_opposite_of_its_other(
    labels: dict[str, str], key: str, values: tuple[str, ...]
) -> None:
    for one, other in (("In", "NotIn"), ("Exists", "DoesNotExist")):
        chosen = matches(expression(one, *values, key=key), labels)
        assert chosen is not matches(expression(other, *values, key=key), labels)


@given(LABELS, LABELS)
def test_labels_and_expressions_must_all_hold(
    wanted: dict[str, str], labels: dict[str, str]
) -> None:
    as_expressions = LabelSelector(
        match_expressions=tuple(
            LabelSelectorRequirement(key=key, operator="In", values=(value,))
            for key, value in wanted.items()
        )
    )
    expected = all(labels.get(key) == value for key, value in wanted.items())
    assert matches(LabelSelector(match_labels=wanted), labels) is expected
    assert matches(as_expressions, labels) is expected
