"""The venue's market and execution, pure: randomness and control come in as arguments."""

import math
from dataclasses import dataclass, fields, replace
from random import Random
from typing import Any

from tidegate.api.wire import Side
from tidegate.runtime.venue.protocol import LATENCY_MS, SPREAD_BPS, Touch

WALK_BPS = 0.5  # per tick
PRICE_NOISE_BPS = 4.0
FILL_NOISE = 0.001
LATENCY_NOISE = 0.15
SPREAD_NOISE = 0.1

_FIELDS = {
    "slippageBps": ("slippage_bps", -9000.0, 9000.0),
    "fillRatio": ("fill_ratio", 0.0, 1.0),
    "latencyMs": ("latency_ms", 0.01, 60_000.0),
    "spreadFactor": ("spread_factor", 0.001, 1000.0),
    "tickHz": ("tick_hz", 0.1, 1000.0),
}


@dataclass(frozen=True, slots=True)
class Control:
    """How well the venue executes. slippage_bps is against the order, on either side."""

    slippage_bps: float = 0.0
    fill_ratio: float = 1.0
    latency_ms: float = LATENCY_MS
    spread_factor: float = 1.0
    tick_hz: float = 20.0

    def changed(self, body: Any) -> "Control":
        """With the fields of a JSON object replaced, all or none.

        Raises ValueError naming the field, what was expected and what was found.
        """
        if not isinstance(body, dict):
            raise ValueError(f"control: expected a JSON object, found {type(body).__name__}")
        values: dict[str, float] = {}
        for name, value in body.items():
            if name not in _FIELDS:
                raise ValueError(f"control: expected a field of {', '.join(_FIELDS)}, found {name}")
            attribute, low, high = _FIELDS[name]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            # Compared before any conversion: an integer may be too large for a float.
            if not number or not low <= value <= high:
                raise ValueError(
                    f"control.{name}: expected a number from {low:g} to {high:g}, found {value!r}"
                )
            values[attribute] = float(value)
        return replace(self, **values)

    def dump(self) -> dict[str, float]:
        """As GET /control shows it."""
        names = {attribute: name for name, (attribute, _, _) in _FIELDS.items()}
        return {names[f.name]: getattr(self, f.name) for f in fields(self)}


class Market:
    """Independent geometric random walks, one a symbol, from 100 upwards."""

    def __init__(self, symbols: tuple[str, ...], random: Random) -> None:
        self._random = random
        self._mid = {symbol: 100.0 * (index + 1) for index, symbol in enumerate(symbols)}
        self.touch = {symbol: Touch(symbol, mid, mid) for symbol, mid in self._mid.items()}
        for symbol in symbols:
            self.step(symbol, Control())

    def step(self, symbol: str, control: Control) -> Touch:
        """The next touch of one symbol."""
        mid = self._mid[symbol] * math.exp(self._random.gauss(0.0, WALK_BPS * 1e-4))
        self._mid[symbol] = mid
        noise = math.exp(self._random.gauss(0.0, SPREAD_NOISE))
        half = mid * SPREAD_BPS * 1e-4 * control.spread_factor * noise / 2.0
        # A spread wider than the price itself has no bid; it stays a market, if a bad one.
        touch = Touch(symbol, max(mid - half, mid * 0.01), mid + half)
        self.touch[symbol] = touch
        return touch

    def latency(self, control: Control) -> float:
        """Seconds until the next message is served: lognormal about the control's median."""
        return control.latency_ms * 1e-3 * math.exp(self._random.gauss(0.0, LATENCY_NOISE))

    def execute(
        self, symbol: str, side: Side, quantity: float, control: Control
    ) -> list[tuple[float, float]]:
        """The fills (price, quantity) of a market order now; together at most `quantity`."""
        touch = self.touch[symbol]
        noise = self._random.gauss(0.0, PRICE_NOISE_BPS)
        worse = (control.slippage_bps + noise) * 1e-4
        price = touch.ask * (1.0 + worse) if side == "buy" else touch.bid * (1.0 - worse)
        # Never beyond what was ordered, so noise only takes away.
        ratio = control.fill_ratio - abs(self._random.gauss(0.0, FILL_NOISE))
        filled = quantity * min(max(ratio, 0.0), 1.0)
        if filled <= 0.0 or price <= 0.0:
            return []
        if self._random.random() < 0.7:
            return [(price, filled)]
        part = filled * self._random.uniform(0.2, 0.8)
        return [(price, part), (price * (1.0 + self._random.gauss(0.0, 5e-5)), filled - part)]
