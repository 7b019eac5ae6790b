"""Reading a program's version and judging whether it fits. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

Version = tuple[int, int, int]

# A version stands alone: "go1.26.8" counts, the "2" of "amd64-2" or an address does not.
_VERSION = re.compile(r"(?:^|[\s\"'v=:]|go)(\d+)\.(\d+)(?:\.(\d+))?(?![\d.])")


def parse(text: str) -> Version | None:
    """The first version in what a program printed, or None."""
    match = _VERSION.search(text)
    if match is None:
        return None
    return int(match[1]), int(match[2]), int(match[3] or 0)


def show(version: Version) -> str:
    return ".".join(str(part) for part in version)


@dataclass(frozen=True)
class Fit:
    """Versions from `least` up to but not including `below`."""

    least: Version
    below: Version | None = None

    def accepts(self, version: Version | None) -> bool:
        if version is None or version < self.least:
            return False
        return self.below is None or version < self.below

    def __str__(self) -> str:
        upper = f", < {show(self.below)}" if self.below else ""
        return f">= {show(self.least)}{upper}"
