"""Two small strategies that trade both sides all day: for examples, demos and tests.

TIDEGATE_ORDERS_PER_SECOND (default 20) caps their rate, TIDEGATE_ORDER_QUANTITY (default 1) sizes
an order, TIDEGATE_MAX_POSITION (default 10 orders) bounds the position of each symbol.
"""

import os

from tidegate.api.wire import Side
from tidegate.runtime.strategy import Context, Strategy, Tick


def positive(name: str, default: float) -> float:
    """The environment variable `name` as a positive number. Raises ValueError naming it."""
    text = os.environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0.0 < value < 1e9:
        raise ValueError(f"{name}: expected a number from 0 to 1e9, was {text!r}")
    return value


class _Sided(Strategy):
    """Orders on the side that `side_of` names, within rate and position."""

    def __init__(self) -> None:
        self.rate = positive("TIDEGATE_ORDERS_PER_SECOND", 20.0)
        self.quantity = positive("TIDEGATE_ORDER_QUANTITY", 1.0)
        self.max_position = positive("TIDEGATE_MAX_POSITION", 10.0 * self.quantity)
        self._budget = 1.0
        self._last = 0

    def side_of(self, tick: Tick) -> Side | None:
        raise NotImplementedError

    def on_tick(self, ctx: Context, tick: Tick) -> None:
        side = self.side_of(tick)
        # A token bucket of one: orders keep their distance instead of coming in bursts.
        self._budget = min(1.0, self._budget + (tick.at - self._last) * 1e-9 * self.rate)
        self._last = tick.at
        if side is None or self._budget < 1.0:
            return
        position = ctx.position.get(tick.symbol, 0.0)
        after = position + (self.quantity if side == "buy" else -self.quantity)
        if abs(after) > self.max_position and abs(after) > abs(position):
            # At its bound it takes profit rather than wait: a demo needs both sides.
            side = "sell" if side == "buy" else "buy"
        self._budget -= 1.0
        ctx.order(side, self.quantity, symbol=tick.symbol)


class MeanReversion(_Sided):
    """Sells above the running average of the mid, buys below it."""

    def __init__(self) -> None:
        super().__init__()
        self.mean: dict[str, float] = {}

    def side_of(self, tick: Tick) -> Side | None:
        mean = self.mean.setdefault(tick.symbol, tick.mid)
        self.mean[tick.symbol] = mean + 0.1 * (tick.mid - mean)
        if tick.mid == mean:
            return None
        return "sell" if tick.mid > mean else "buy"


class Momentum(_Sided):
    """Buys what rose since the last tick but two, sells what fell."""

    def __init__(self) -> None:
        super().__init__()
        self.past: dict[str, list[float]] = {}

    def side_of(self, tick: Tick) -> Side | None:
        past = self.past.setdefault(tick.symbol, [])
        past.append(tick.mid)
        if len(past) < 4:
            return None
        before = past.pop(0)
        if tick.mid == before:
            return None
        return "buy" if tick.mid > before else "sell"
