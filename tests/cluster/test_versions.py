"""Which version of a program fits: read from what programs really print."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.versions import Fit, Version, parse

PRINTED = [
    ("go version go1.26.8 linux/amd64", (1, 26, 8)),
    ("go version go1.27 linux/amd64", (1, 27, 0)),
    ("Kubernetes v1.35.4\n", (1, 35, 4)),
    ("Client Version: v1.32.4-dispatcher\nKustomize Version: v5.5.0", (1, 32, 4)),
    ("etcd Version: 3.6.16\nGit SHA: Not provided\nGo Version: go1.26.8", (3, 6, 16)),
    ("v4.1.4+g6b0ddb5", (4, 1, 4)),
    ("promtool, version 3.16.0 (branch: , revision: unknown)", (3, 16, 0)),
    ("containerd github.com/containerd/containerd 1.6.20~ds1 1.6.20~ds1-1+deb12u3", (1, 6, 20)),
    ("error: unknown flag", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "expected"), PRINTED)
def test_first_version_of_what_a_program_printed(text: str, expected: Version | None) -> None:
    assert parse(text) == expected


versions = st.tuples(*[st.integers(0, 60)] * 3)


@given(versions, versions, versions)
def test_accepts_exactly_the_half_open_range(least: Version, below: Version, at: Version) -> None:
    assert Fit(least, below).accepts(at) == (least <= at < below)


@given(versions, versions)
def test_no_upper_bound_accepts_everything_newer(least: Version, at: Version) -> None:
    assert Fit(least).accepts(at) == (at >= least)


def test_a_program_that_says_nothing_never_fits() -> None:
    assert not Fit((0, 0, 0)).accepts(None)


@given(versions)
def test_a_version_survives_printing_and_reading(version: Version) -> None:
    assert parse("tool v" + ".".join(map(str, version))) == version
