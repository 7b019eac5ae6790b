"""The one error that leaves this package.

ClusterError        something a person has to act on: printed as its four lines, exit status 1
├── BuildError      a tool or an image could not be built
└── LeftoverError   `down` finished and something of ours is still on the machine
"""

from __future__ import annotations


class ClusterError(Exception):
    """Names the thing, what was expected, what was found, and what to do next."""

    def __init__(self, what: str, *, expected: str = "", found: str = "", do: str = "") -> None:
        self.what, self.expected, self.found, self.do = what, expected, found, do
        super().__init__(self.text())

    def text(self) -> str:
        parts = [self.what]
        for label, value in (("expected", self.expected), ("found", self.found), ("do", self.do)):
            if value:
                parts.append(f"  {label}: {value}")
        return "\n".join(parts)


class BuildError(ClusterError):
    """A tool or an image could not be built."""


class LeftoverError(ClusterError):
    """`down` finished and something of ours is still on the machine."""
