"""The healthy behaviour of one family, frozen: what drift is measured against."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.core.drift.codec import as_count, as_float, as_floats, as_text, field
from tidegate.core.drift.signal import check_family

MAX_PHI = 0.5
"""Bound of the whitening coefficient: beyond it, a wrong φ costs more than a right one wins."""

DECLARED_TAIL_CAPS = (0.10, 0.025, 0.005)
"""Caps of P(y > 2, 4, 8 scales), either side, where nothing was measured. Student t with 3 degrees
of freedom, scaled by 1.48 MAD, has .054, .010, .0014: these caps leave a factor of two above it."""

_FORMAT = 1
_EXTREME_SCALE = 1e200


@dataclass(frozen=True, slots=True)
class Reference:
    """Frozen description of the healthy residuals x of one family.

    ``center``, ``scale``, ``tick``, ``center_error`` and ``offset`` are in the unit of x.

    - ``center``: Huber location of x, the point about which the clipped residual averages zero.
    - ``scale``: the length s in which clips and tail levels are counted.
    - ``phi``: lag-1 coefficient of the whitening, within ±0.5.
    - ``tail_caps``: upper confidence bounds of P(y > 2s), P(y > 4s), P(y > 8s) of the whitened y,
      valid for either side, y and -y. Bounds of P(|y| > ..) are valid too, and cost speed.
    - ``events``: how many healthy events it rests on, 0 when declared.
    - ``center_error``: half-width of the confidence interval of ``center``; the
      detector never takes a smaller shift for drift, so that an unlucky reference does not become a
      false alarm a day later.
    - ``offset``: mean of the residual about ``center`` (clipped at 8 s), non-zero for skewed
      families; only the reported estimate subtracts it, and its interval adds
      ``offset_error`` on either side.

    Raises ValueError when a value makes no sense; the message names it.
    """

    family: str
    center: float
    scale: float
    phi: float
    tick: float
    tail_caps: tuple[float, float, float]
    events: int
    center_error: float = 0.0
    offset: float = 0.0
    offset_error: float = 0.0

    def __post_init__(self) -> None:
        check_family("reference", self.family)
        name = f"reference {self.family}"
        for label in ("center", "offset"):
            if not abs(getattr(self, label)) <= _EXTREME_SCALE:
                raise ValueError(f"{name}: {label} must be finite, was {getattr(self, label)!r}")
        for label in ("tick", "center_error", "offset_error"):
            if not 0.0 <= getattr(self, label) <= _EXTREME_SCALE:
                raise ValueError(
                    f"{name}: {label} must be finite and >= 0, was {getattr(self, label)!r}"
                )
        # Outside these bounds 1 / scale would be subnormal or infinite, and 0 * inf is NaN.
        if not 1.0 / _EXTREME_SCALE <= self.scale <= _EXTREME_SCALE:
            raise ValueError(f"{name}: scale must be within [1e-200, 1e200], was {self.scale!r}")
        if not -MAX_PHI <= self.phi <= MAX_PHI:
            raise ValueError(f"{name}: phi must be within ±{MAX_PHI}, was {self.phi!r}")
        if len(self.tail_caps) != 3 or not all(0.0 < cap <= 1.0 for cap in self.tail_caps):
            raise ValueError(f"{name}: tail_caps must be 3 values in (0, 1], was {self.tail_caps}")
        if list(self.tail_caps) != sorted(self.tail_caps, reverse=True):
            raise ValueError(f"{name}: tail_caps must not increase, was {self.tail_caps}")
        if self.events < 0:
            raise ValueError(f"{name}: events must be >= 0, was {self.events}")

    def digest(self) -> str:
        """SHA-256 (hex) of the canonical content: two references are the same iff this is."""
        # + 0.0 turns -0.0 into 0.0: equal references must not differ by the sign of a zero.
        canonical = {
            key: value + 0.0 if isinstance(value, float) else value
            for key, value in self.to_dict().items()
        }
        text = json.dumps(canonical, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_dict(self) -> dict[str, object]:
        """JSON-safe content; floats survive a JSON round trip exactly."""
        return {
            "version": _FORMAT,
            "family": self.family,
            "center": float(self.center),
            "scale": float(self.scale),
            "phi": float(self.phi),
            "tick": float(self.tick),
            "tailCaps": [float(cap) for cap in self.tail_caps],
            "events": self.events,
            "centerError": float(self.center_error),
            "offset": float(self.offset),
            "offsetError": float(self.offset_error),
        }

    @classmethod
    def from_dict(cls, payload: Mapping[str, object]) -> Reference:
        """Inverse of to_dict. Only what has no default must be there.

        Raises ValueError naming the field, what was expected and what was found.
        """
        owner = "reference"
        version = payload.get("version", _FORMAT) if isinstance(payload, Mapping) else None
        if version != _FORMAT or isinstance(version, bool):
            raise ValueError(f"{owner}: version must be {_FORMAT}, found {version!r}")
        caps = as_floats(field(payload, owner, "tailCaps"), owner, "tailCaps", 3)
        return cls(
            family=as_text(field(payload, owner, "family"), owner, "family"),
            center=as_float(field(payload, owner, "center"), owner, "center"),
            scale=as_float(field(payload, owner, "scale"), owner, "scale"),
            phi=as_float(field(payload, owner, "phi"), owner, "phi"),
            tick=as_float(field(payload, owner, "tick"), owner, "tick"),
            tail_caps=(caps[0], caps[1], caps[2]),
            events=as_count(field(payload, owner, "events"), owner, "events"),
            center_error=as_float(payload.get("centerError", 0.0), owner, "centerError"),
            offset=as_float(payload.get("offset", 0.0), owner, "offset"),
            offset_error=as_float(payload.get("offsetError", 0.0), owner, "offsetError"),
        )


def declared_reference(
    family: str,
    *,
    center: float = 0.0,
    scale: float,
    phi: float = 0.0,
    tick: float = 0.0,
    tail_caps: tuple[float, float, float] = DECLARED_TAIL_CAPS,
) -> Reference:
    """A reference somebody vouches for instead of measuring it; ``scale`` has no default.

    ``scale`` should be 1.48 times the median absolute deviation of healthy x; half a tick is its
    lower bound, because inside one price step there is nothing to measure. Raises ValueError.
    """
    if not math.isfinite(scale):
        raise ValueError(f"reference {family}: scale must be finite, was {scale!r}")
    return Reference(
        family=family,
        center=center,
        scale=max(scale, tick / 2.0),
        phi=phi,
        tick=tick,
        tail_caps=tail_caps,
        events=0,
    )
