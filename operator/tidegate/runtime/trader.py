"""The strategy's context: every order to paper, and to the venue if the permit says so."""

import logging
import math
import os
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from inspect import isawaitable
from types import MappingProxyType
from typing import Any, Literal, Protocol

from tidegate.api.permit import Permit, State
from tidegate.api.wire import Ack, Book, Done, Order, Quote, Report, Side, Step
from tidegate.api.wire import Fill as FillReport
from tidegate.runtime import paper
from tidegate.runtime.permit import PermitReader
from tidegate.runtime.strategy import Fill, Strategy, Tick

log = logging.getLogger(__name__)

Mode = Literal["Paper", "Live"]
QUOTE_EVERY = 100_000_000  # ns, per symbol
REMEMBERED = 10_000
STALE_ORDER = 1_000_000_000
"""ns: an order that waited longer for its turn was decided on prices that are gone."""


class Link(Protocol):
    """The way to the venue."""

    @property
    def connected(self) -> bool: ...

    def submit(self, order: Order) -> None:
        """Queue a live order at its full size; `Trader.admit` decides when it is sent."""

    def cancel(self, key: str) -> None: ...


class Trader:
    """Implements strategy.Context. `report` takes what the guard is to know."""

    def __init__(
        self,
        *,
        mode: Mode,
        name: str,
        permit: PermitReader,
        model: paper.PaperModel,
        report: Callable[[Report], None],
        clock: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.mode = mode
        self.link: Link | None = None
        self._permit = permit
        self._model = model
        self._report = report
        self._clock = clock
        # Keys stay unique across restarts of this process.
        self._prefix = f"{name}-{os.getpid():x}{time.time_ns() // 1_000_000:x}"
        self._orders = 0
        self._steps = 0
        self._errors = 0
        self._ticks: dict[str, Tick] = {}
        self._quoted: dict[str, int] = {}
        self._paper: dict[str, float] = {}
        self._live: dict[str, float] = {}
        self._sent: OrderedDict[str, Order] = OrderedDict()
        self._fills: deque[Fill] = deque()
        self.refused = 0

    @property
    def position(self) -> Mapping[str, float]:
        return MappingProxyType(self._paper)

    @property
    def live_position(self) -> Mapping[str, float]:
        return MappingProxyType(self._live)

    @property
    def permit(self) -> Permit:
        return self._permit.read()

    def order(self, side: Side, quantity: float, *, symbol: str) -> str:
        if side not in ("buy", "sell"):
            raise ValueError(f"order: side: expected buy or sell, was {side!r}")
        if not (math.isfinite(quantity) and quantity > 0.0):
            raise ValueError(f"order: quantity: expected a number above 0, was {quantity!r}")
        tick = self._ticks.get(symbol)
        if tick is None:
            known = ", ".join(self._ticks) or "none yet"
            raise ValueError(f"order: symbol: expected one with ticks ({known}), was {symbol!r}")
        self._orders += 1
        key = f"{self._prefix}-{self._orders}"
        now = self._clock()
        if self.mode == "Live" and self.link is not None and self.link.connected:
            self.link.submit(Order(key, "live", symbol, side, quantity, tick.mid, now))
        twin = Order(key, "paper", symbol, side, quantity, tick.mid, now)
        for report in paper.reports(twin, tick, self._model):
            self._report(report)
            if isinstance(report, FillReport):
                self._book(twin, report.price, report.quantity)
        return key

    def cancel(self, key: str) -> None:
        if self.link is not None:
            self.link.cancel(key)

    def admit(self, order: Order) -> Order | None:
        """The order as the permit allows it now, or None. Nothing may come between this and the
        send but the encoding."""
        if self._clock() - order.at > STALE_ORDER:
            self.refused += 1
            return None
        permit = self._permit.read()
        if permit.state is State.HALTED:
            self.refused += 1
            return None
        quantity = order.quantity * permit.allocation / 100.0
        if permit.state is State.REDUCING:
            held = self._live.get(order.symbol, 0.0) + self._working(order.symbol)
            closing = -held if order.side == "buy" else held
            quantity = min(quantity, closing)
        if quantity <= 0.0:
            self.refused += 1
            return None
        return Order(
            order.key, "live", order.symbol, order.side, quantity, order.arrival, self._clock()
        )

    def _working(self, symbol: str) -> float:
        """Signed quantity of this symbol sent and not done: it may fill yet."""
        return sum(
            o.quantity if o.side == "buy" else -o.quantity
            for o in self._sent.values()
            if o.symbol == symbol
        )

    def sent(self, order: Order) -> None:
        """The live order left for the venue."""
        self._sent[order.key] = order
        if len(self._sent) > REMEMBERED:
            self._sent.popitem(last=False)
        self._report(order)

    def acked(self, key: str, now: int) -> None:
        order = self._sent.get(key)
        if order is not None:
            self._report(Ack(key, "live", now - order.at, now))

    def filled(self, key: str, trade: str, price: float, quantity: float, now: int) -> None:
        # Reported even if nobody ordered it: the guard must know.
        self._report(FillReport(key, "live", trade, price, quantity, now))
        order = self._sent.get(key)
        if order is not None:
            self._book(order, price, quantity)

    def done(
        self,
        key: str,
        status: Literal["filled", "expired", "cancelled", "rejected"],
        filled: float,
        now: int,
    ) -> None:
        self._sent.pop(key, None)
        self._report(Done(key, "live", status, now, filled))

    def disconnected(self) -> None:
        """Orders under way are lost from sight: the guard will see them unmatched."""
        self._sent.clear()

    def _book(self, order: Order, price: float, quantity: float) -> None:
        book: Book = order.book
        held = self._paper if book == "paper" else self._live
        signed = quantity if order.side == "buy" else -quantity
        held[order.symbol] = held.get(order.symbol, 0.0) + signed
        self._fills.append(Fill(order.key, book, order.symbol, order.side, price, quantity))

    async def tick(self, strategy: Strategy, tick: Tick) -> None:
        """One step: the strategy's on_tick, and the fills it caused."""
        self._ticks[tick.symbol] = tick
        if tick.at - self._quoted.get(tick.symbol, -QUOTE_EVERY) >= QUOTE_EVERY:
            self._quoted[tick.symbol] = tick.at
            self._report(Quote(tick.symbol, tick.bid, tick.ask, self._model.spread(tick), tick.at))
        await self.call(strategy.on_tick, tick)
        self._steps += 1
        now = self._clock()
        self._report(Step(self._steps, now, now - tick.at))
        await self.deliver(strategy)

    async def deliver(self, strategy: Strategy) -> None:
        """Hand over fills that wait; those caused by on_fill wait for the next time."""
        for _ in range(len(self._fills)):
            await self.call(strategy.on_fill, self._fills.popleft())

    async def call(self, callback: Callable[..., Any], *args: Any) -> None:
        """Run one callback; its errors are logged, counted, and end neither loop nor process."""
        try:
            result = callback(self, *args)
            if isawaitable(result):
                await result
        except Exception:
            self._errors += 1
            # One strategy's bug must not fill the log: only doubling counts are logged.
            if self._errors & (self._errors - 1) == 0:
                log.exception("%s failed (%d errors so far)", callback.__qualname__, self._errors)
