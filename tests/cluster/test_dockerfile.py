"""The image's settings are written once, in the Dockerfile; the native builder reads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster.dockerfile import ImageSettings, instructions, parse
from cluster.errors import BuildError

REPO = Path(__file__).resolve().parents[2]


def test_the_repository_s_own_dockerfile() -> None:
    settings = parse((REPO / "Dockerfile").read_text())
    assert settings.user == "65532:65532"
    assert settings.entrypoint == ("python3.11", "-m", "tidegate")
    assert "PYTHONPATH=/opt/app" in settings.env
    assert "PYTHONUNBUFFERED=1" in settings.env


def test_only_the_last_stage_counts() -> None:
    text = 'FROM a AS one\nUSER root\nENV A=1\nFROM b\nENV B=2\nENTRYPOINT ["x"]\n'
    assert parse(text) == ImageSettings(entrypoint=("x",), env=("B=2",))


def test_a_later_line_replaces_an_earlier_one() -> None:
    assert parse("FROM a\nENV A=1 B=2\nENV A=3\nUSER 1\nUSER 2").env == ("A=3", "B=2")
    assert parse("FROM a\nUSER 1\nUSER 2").user == "2"


def test_comments_between_continued_lines_are_skipped() -> None:
    text = "FROM a\nRUN one \\\n# why\n && two\nEXPOSE 8080 53/udp\n"
    assert instructions(text)[1] == ("RUN", "one  && two")
    assert parse(text).ports == ("8080/tcp", "53/udp")


def test_quoted_values_keep_their_spaces() -> None:
    assert parse('FROM a\nENV A="x y" B=z').env == ("A=x y", "B=z")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("FROM a\nENTRYPOINT python3.11 -m tidegate", "ENTRYPOINT"),
        ("FROM a\nCMD [1]", "CMD"),
        ("FROM a\nENV A 1", "ENV"),
        ("USER 1", "FROM"),
    ],
)
def test_forms_that_are_not_read_are_refused_by_name(text: str, names: str) -> None:
    with pytest.raises(BuildError, match=names):
        parse(text)
