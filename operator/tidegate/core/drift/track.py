"""The running evidence of one family: 22 components and a window.

Why no logarithms at every event: R <- (R + 1) L has R >= 1 - λ > 0 after the first bet, so a
component can neither vanish nor lose precision, and the only way out of a double is upwards. There
it stops at CEILING (1e250), 238 orders of magnitude above the default threshold; a smaller R only
makes the supermartingale smaller, so the error bound survives. The recursion is then 22
multiplications instead of 22 logarithms and exponentials; logarithms are taken where evidence is
read. After a long drift the evidence also falls from 1e250, not from a number that grows with the
length of the drift.
"""

from __future__ import annotations

from collections.abc import Mapping

from tidegate.core.drift.bets import (
    CLIP,
    COMPONENTS,
    FAR,
    MEAN_LAMBDAS,
    PREVIOUS_CLIP,
    TAIL_LEVELS,
    Scaled,
    tail_factors,
)
from tidegate.core.drift.codec import as_count, as_float, as_floats, as_text, field
from tidegate.core.drift.reference import Reference
from tidegate.core.drift.shift import LEAF, WIDE, ShiftWindow
from tidegate.core.drift.signal import SignalSpec
from tidegate.core.drift.volatility import Volatility

CEILING = 1e250
_ZERO = (0.0,) * COMPONENTS
_K0, _K1, _K2, _K3, _K4 = (stake / CLIP for stake in MEAN_LAMBDAS)
_LEVEL0, _LEVEL1, _LEVEL2 = TAIL_LEVELS


class FamilyTrack:
    """Running state of one family under one gate."""

    __slots__ = (
        "components",
        "events",
        "factors",
        "floor",
        "mass",
        "previous",
        "reference",
        "scaled",
        "share",
        "spec",
        "volatility",
        "weight",
        "window",
    )

    def __init__(self, spec: SignalSpec, reference: Reference, weight: float, floor: float) -> None:
        self.spec = spec
        self.reference = reference
        self.weight = weight  # of the family, normalised over the gate
        self.share = weight / COMPONENTS  # of one component
        self.floor = floor
        self.scaled = Scaled.of(spec, reference, floor)
        self.factors = tail_factors(reference.tail_caps)
        self.reset()

    def reset(self) -> None:
        """Forget all evidence, keep the reference."""
        self.components: tuple[float, ...] = _ZERO
        self.mass = 0.0  # share * Σ components
        self.events = 0
        # Without a predecessor there is no whitened residual; with φ = 0 none is needed.
        self.previous: float | None = None if self.scaled.phi else 0.0
        self.volatility = Volatility()
        self.window = ShiftWindow()

    def take(self, x: float) -> None:
        """Bet on one finite residual x. Any finite double is fine."""
        scaled = self.scaled
        z = (x - scaled.center) * scaled.inverse_scale
        if z > FAR:
            z = FAR
        elif z < -FAR:
            z = -FAR
        self.events += 1
        previous = self.previous
        self.previous = (
            PREVIOUS_CLIP if z > PREVIOUS_CLIP else -PREVIOUS_CLIP if z < -PREVIOUS_CLIP else z
        )
        if previous is None:
            return
        y = z - scaled.phi * previous

        window = self.window
        w = WIDE if y > WIDE else -WIDE if y < -WIDE else y
        window.count += 1
        window.total += w
        window.square += w * w
        if window.count == LEAF:
            window.close_leaf()

        margin = scaled.margin
        up = y - margin
        down = -y - margin
        rows = self.factors
        volatility = self.volatility
        # At most one side can exceed: the other's tail bets lose their stake.
        beyond = (up if up > down else down) / volatility.factor
        volatility.take(y)
        if beyond <= _LEVEL0:
            row = rows[0]
        elif beyond <= _LEVEL1:
            row = rows[1]
        elif beyond <= _LEVEL2:
            row = rows[2]
        else:
            row = rows[3]
        if up > down:
            f0, f1, f2, f3, f4, f5 = row
            g0, g1, g2, g3, g4, g5 = rows[0]
        else:
            f0, f1, f2, f3, f4, f5 = rows[0]
            g0, g1, g2, g3, g4, g5 = row
        up = CLIP if up > CLIP else -CLIP if up < -CLIP else up
        down = CLIP if down > CLIP else -CLIP if down < -CLIP else down
        u0, u1, u2, u3, u4, d0, d1, d2, d3, d4, s0, s1, s2, s3, s4, s5, t0, t1, t2, t3, t4, t5 = (
            self.components
        )
        components = (
            (u0 + 1.0) * (1.0 + _K0 * up),
            (u1 + 1.0) * (1.0 + _K1 * up),
            (u2 + 1.0) * (1.0 + _K2 * up),
            (u3 + 1.0) * (1.0 + _K3 * up),
            (u4 + 1.0) * (1.0 + _K4 * up),
            (d0 + 1.0) * (1.0 + _K0 * down),
            (d1 + 1.0) * (1.0 + _K1 * down),
            (d2 + 1.0) * (1.0 + _K2 * down),
            (d3 + 1.0) * (1.0 + _K3 * down),
            (d4 + 1.0) * (1.0 + _K4 * down),
            (s0 + 1.0) * f0,
            (s1 + 1.0) * f1,
            (s2 + 1.0) * f2,
            (s3 + 1.0) * f3,
            (s4 + 1.0) * f4,
            (s5 + 1.0) * f5,
            (t0 + 1.0) * g0,
            (t1 + 1.0) * g1,
            (t2 + 1.0) * g2,
            (t3 + 1.0) * g3,
            (t4 + 1.0) * g4,
            (t5 + 1.0) * g5,
        )
        mass = sum(components)
        self.components = components
        if mass > CEILING:
            self.components = tuple([r if r < CEILING else CEILING for r in components])
            mass = sum(self.components)
        self.mass = self.share * mass

    def to_dict(self) -> dict[str, object]:
        """JSON-safe state, with what it was measured against."""
        spec = self.spec
        return {
            "family": spec.family,
            "tolerance": spec.tolerance,
            "limit": spec.limit,
            "weight": spec.weight,
            "floor": self.floor,
            "reference": self.reference.to_dict(),
            "components": list(self.components),
            "events": self.events,
            "previous": self.previous,
            "volatility": self.volatility.to_list(),
            "window": self.window.to_dict(),
        }

    def restore(self, payload: Mapping[str, object]) -> None:
        """Take up the state that to_dict wrote; ValueError names a wrong field."""
        owner = f"detector state of {self.spec.family}"
        components = as_floats(field(payload, owner, "components"), owner, "components", COMPONENTS)
        if not all(0.0 <= r <= CEILING for r in components):
            raise ValueError(f"{owner}: components must be within [0, 1e250], found {components}")
        self.components = tuple(components)
        self.mass = self.share * sum(self.components)
        self.events = as_count(field(payload, owner, "events"), owner, "events")
        previous = field(payload, owner, "previous")
        self.previous = None if previous is None else as_float(previous, owner, "previous")
        if self.previous is not None and abs(self.previous) > PREVIOUS_CLIP:
            raise ValueError(f"{owner}: previous must be within ±8, found {self.previous!r}")
        self.volatility = Volatility.from_list(field(payload, owner, "volatility"), owner)
        self.window = ShiftWindow.from_dict(field(payload, owner, "window"))


def spec_of(payload: Mapping[str, object]) -> SignalSpec:
    """The SignalSpec in a family's serialised state; ValueError names the field."""
    owner = "detector state"
    return SignalSpec(
        family=as_text(field(payload, owner, "family"), owner, "family"),
        tolerance=as_float(field(payload, owner, "tolerance"), owner, "tolerance"),
        limit=as_float(field(payload, owner, "limit"), owner, "limit"),
        weight=as_float(field(payload, owner, "weight"), owner, "weight"),
    )
