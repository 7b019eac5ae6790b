"""What one family of a gate asks of the detector: how much drift is harmless, how much too much."""

from __future__ import annotations

import math
from dataclasses import dataclass

FAMILIES = ("price", "volume", "latency", "market")
"""The families of evidence, in the order in which every sum over families is taken."""


@dataclass(frozen=True, slots=True)
class SignalSpec:
    """One family of a gate, already parsed.

    ``tolerance`` and ``limit`` are in the unit of x, the family's residual: a fraction for price
    and volume (5 bps = 5e-4), a log ratio for latency and market (500 bps = ln 1.05).
    ``|mean shift| <= tolerance`` is healthy (the null hypothesis of the detector);
    ``|mean shift| >= limit`` is what recovery has to rule out. ``weight`` is the family's share of
    the gate's evidence relative to its siblings.

    Raises ValueError on an unknown family, or unless ``0 <= tolerance < limit < inf`` and
    ``0 < weight < inf``.
    """

    family: str
    tolerance: float
    limit: float
    weight: float = 1.0

    def __post_init__(self) -> None:
        check_family("signal", self.family)
        name = f"signal {self.family}"
        if not (math.isfinite(self.tolerance) and self.tolerance >= 0.0):
            raise ValueError(f"{name}: tolerance must be finite and >= 0, was {self.tolerance!r}")
        if not (math.isfinite(self.limit) and self.limit > self.tolerance):
            raise ValueError(
                f"{name}: limit must be finite and above the tolerance {self.tolerance!r}, "
                f"was {self.limit!r}"
            )
        if not (math.isfinite(self.weight) and self.weight > 0.0):
            raise ValueError(f"{name}: weight must be finite and > 0, was {self.weight!r}")


def check_family(owner: str, family: object) -> None:
    """Raise ValueError unless ``family`` is one of FAMILIES."""
    if family not in FAMILIES:
        raise ValueError(f"{owner}: family must be one of {', '.join(FAMILIES)}, was {family!r}")
