"""Reading the image's settings out of the Dockerfile, so that they are written down once. Pure.

Only the last stage counts, and only ENV, USER, WORKDIR, ENTRYPOINT, CMD and EXPOSE of it: what
becomes the image's configuration. Its COPY and RUN lines are what layers.py does without Docker.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass

from .errors import BuildError


@dataclass(frozen=True)
class ImageSettings:
    user: str = ""
    workdir: str = ""
    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[str, ...] = ()  # "KEY=value"
    ports: tuple[str, ...] = ()  # "8080/tcp"


def instructions(text: str) -> list[tuple[str, str]]:
    """(instruction in capitals, the rest), comments dropped, continued lines joined."""
    found: list[tuple[str, str]] = []
    pending = ""
    for raw in text.splitlines():
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        pending += line[:-1] + " " if line.endswith("\\") else line
        if line.endswith("\\"):
            continue
        word, _, rest = pending.partition(" ")
        found.append((word.upper(), rest.strip()))
        pending = ""
    return found


def parse(text: str) -> ImageSettings:
    """Settings of the last stage. BuildError where a form is used that is not read here."""
    lines = instructions(text)
    starts = [index for index, (word, _) in enumerate(lines) if word == "FROM"]
    if not starts:
        raise BuildError("the Dockerfile has no FROM line", expected="at least one stage")
    last = dict.fromkeys(("USER", "WORKDIR", "ENTRYPOINT", "CMD"), "")
    env: dict[str, str] = {}
    ports: list[str] = []
    for word, rest in lines[starts[-1] :]:
        if word in last:
            last[word] = rest
        elif word == "ENV":
            env |= _pairs(rest)
        elif word == "EXPOSE":
            ports += [port if "/" in port else f"{port}/tcp" for port in rest.split()]
    return ImageSettings(
        user=last["USER"],
        workdir=last["WORKDIR"],
        entrypoint=_words("ENTRYPOINT", last["ENTRYPOINT"]),
        cmd=_words("CMD", last["CMD"]),
        env=tuple(f"{key}={value}" for key, value in env.items()),
        ports=tuple(ports),
    )


def _words(instruction: str, value: str) -> tuple[str, ...]:
    if not value:
        return ()
    try:
        words = json.loads(value)
    except ValueError:
        words = None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise BuildError(
            f"Dockerfile: {instruction}",
            expected='a list such as ["python3.11", "-m", "tidegate"]; a shell swallows signals',
            found=value,
            do="write it as a JSON list",
        )
    return tuple(words)


def _pairs(rest: str) -> dict[str, str]:
    pairs = {}
    for word in shlex.split(rest):
        key, equals, value = word.partition("=")
        if not equals:
            raise BuildError(
                "Dockerfile: ENV", expected="KEY=value pairs", found=rest, do="add the equals sign"
            )
        pairs[key] = value
    return pairs
