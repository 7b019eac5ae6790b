"""Live orders and their paper twins, joined by key. Pure: time is an argument.

Events of a pair may come in any order. A pair is complete when both orders are known, both have
ended and all their fills are in; it is told of once. Bad data becomes a Problem, never an
exception. Memory is bounded: CAPACITY pairs under way, as many finished keys, and TRADES ids.
"""

import math
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tidegate.api.wire import Ack, Book, Done, Fill, Order, Side

DEADLINE = 5_000_000_000
CAPACITY = 4096
TRADES = 16_384
KEY_LENGTH = 256
_SLACK = 1e-9  # of floats that were added in another order


@dataclass(frozen=True, slots=True)
class Problem:
    """Data that can't be trusted. `reason` is CamelCase and stable."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class LegResult:
    """One finished order: quantities in units, vwap None without a fill.

    `cancelled`: the strategy called it off, so what it did not fill says nothing of the venue.
    """

    ordered: float
    filled: float
    vwap: float | None
    cancelled: bool = False

    @property
    def ratio(self) -> float:
        return self.filled / self.ordered


@dataclass(frozen=True, slots=True)
class Pair:
    """The same decision, executed in both books."""

    key: str
    symbol: str
    side: Side
    paper: LegResult
    live: LegResult


@dataclass(frozen=True, slots=True)
class AckPair:
    """Acknowledgement latencies of both legs in ns."""

    key: str
    paper: int
    live: int


Outcome = Pair | AckPair | Problem


@dataclass(slots=True)
class _Leg:
    order: Order | None = None
    ack: int | None = None
    done: Done | None = None
    filled: float = 0.0
    notional: float = 0.0

    @property
    def complete(self) -> bool:
        if self.order is None or self.done is None:
            return False
        return self.filled >= self.awaited * (1.0 - _SLACK)

    @property
    def awaited(self) -> float:
        """Quantity of fills that have to be in before the leg is complete."""
        assert self.order is not None
        assert self.done is not None
        if self.done.filled is not None:
            return self.done.filled
        return self.order.quantity if self.done.status == "filled" else 0.0

    def result(self) -> LegResult:
        assert self.order is not None
        assert self.done is not None
        vwap = self.notional / self.filled if self.filled > 0.0 else None
        return LegResult(self.order.quantity, self.filled, vwap, self.done.status == "cancelled")


@dataclass(slots=True)
class _Entry:
    since: int
    acked: bool = False
    legs: dict[Book, _Leg] = field(default_factory=lambda: {"paper": _Leg(), "live": _Leg()})

    @property
    def live_seen(self) -> bool:
        leg = self.legs["live"]
        return (
            leg.order is not None or leg.ack is not None or leg.done is not None or leg.filled > 0
        )


class Pairing:
    """Feed reports with `take`, time with `expire`. Times are ns of one monotonic clock."""

    def __init__(
        self, *, deadline: int = DEADLINE, capacity: int = CAPACITY, trades: int = TRADES
    ) -> None:
        self._deadline = deadline
        self._capacity = capacity
        self._most_trades = trades
        # Oldest first: entries are never moved, so expiry looks at the front only.
        self._open: OrderedDict[str, _Entry] = OrderedDict()
        self._closed: OrderedDict[str, None] = OrderedDict()
        self._trades: OrderedDict[tuple[Book, str], None] = OrderedDict()

    def __len__(self) -> int:
        """Pairs under way."""
        return len(self._open)

    @property
    def remembered(self) -> int:
        """Everything that is kept, for bounds: entries, finished keys, trade ids."""
        return len(self._open) + len(self._closed) + len(self._trades)

    def take(self, report: Order | Ack | Fill | Done, now: int) -> list[Outcome]:
        """What `report`, received at `now`, brings to light."""
        problem = _check(report) or self._remember_trade(report)
        if problem is not None:
            return [problem]
        if report.key in self._closed:
            return self._late(report)
        out: list[Outcome] = []
        entry = self._open.get(report.key)
        if entry is None:
            out.extend(self._make_room())
            entry = self._open[report.key] = _Entry(now)
        leg = entry.legs[report.book]
        match report:
            case Order():
                if leg.order is not None:
                    return [_problem("DuplicateOrder", report.key, f"{report.book} order again")]
                leg.order = report
            case Ack():
                if leg.ack is None:
                    leg.ack = report.latency
            case Fill():
                leg.filled += report.quantity
                leg.notional += report.price * report.quantity
            case Done():
                if leg.done is None:
                    leg.done = report
        out.extend(self._advance(report.key, entry))
        return out

    def _advance(self, key: str, entry: _Entry) -> Iterator[Outcome]:
        paper, live = entry.legs["paper"], entry.legs["live"]
        if not entry.acked and paper.ack is not None and live.ack is not None:
            entry.acked = True
            yield AckPair(key, paper.ack, live.ack)
        if not (paper.complete and live.complete):
            return
        self._close(key)
        assert paper.order is not None
        assert live.order is not None
        if (paper.order.symbol, paper.order.side) != (live.order.symbol, live.order.side):
            yield _problem(
                "MismatchedPair", key,
                f"paper is {paper.order.side} {paper.order.symbol}, "
                f"live is {live.order.side} {live.order.symbol}",
            )  # fmt: skip
            return
        for book, leg in entry.legs.items():
            assert leg.order is not None
            if leg.filled > leg.order.quantity * (1.0 + _SLACK):
                yield _problem(
                    "Overfilled", key,
                    f"{book} order of {leg.order.quantity:g} filled {leg.filled:g}",
                )  # fmt: skip
                return
            # Each number was fine, their products may be beyond a float, on either end.
            if leg.filled > 0.0 and not 0.0 < leg.notional / leg.filled < math.inf:
                yield _problem("NotANumber", key, f"{book} vwap is {leg.notional / leg.filled}")
                return
        yield Pair(key, paper.order.symbol, paper.order.side, paper.result(), live.result())

    def expire(self, now: int) -> list[Problem]:
        """Give up pairs older than the deadline. Paper alone is no fault: live was not allowed."""
        out: list[Problem] = []
        while self._open:
            key, entry = next(iter(self._open.items()))
            if now - entry.since < self._deadline:
                break
            del self._open[key]
            self._close(key)
            if entry.live_seen:
                out.append(_unmatched(key, entry))
        return out

    def _make_room(self) -> Iterator[Problem]:
        if len(self._open) >= self._capacity:
            key, entry = self._open.popitem(last=False)
            self._close(key)
            if entry.live_seen:
                yield _problem("TooManyOrders", key, f"over {self._capacity} pairs under way")

    def _close(self, key: str) -> None:
        self._open.pop(key, None)
        self._closed[key] = None
        if len(self._closed) > self._capacity:
            self._closed.popitem(last=False)

    def _late(self, report: Order | Ack | Fill | Done) -> list[Outcome]:
        """A key that is finished: only news that contradict what was told are a problem."""
        if isinstance(report, Fill) and report.book == "live":
            return [_problem("LateFill", report.key, "live fill after the order's end")]
        if isinstance(report, Order) and report.book == "live":
            return [_problem("DuplicateOrder", report.key, "live order after its pair's end")]
        return []

    def _remember_trade(self, report: Order | Ack | Fill | Done) -> Problem | None:
        if not isinstance(report, Fill):
            return None
        trade = (report.book, report.trade)
        if trade in self._trades:
            return _problem("DuplicateTrade", report.key, f"{report.book} trade {report.trade!r}")
        self._trades[trade] = None
        if len(self._trades) > self._most_trades:
            self._trades.popitem(last=False)
        return None


def _check(report: Order | Ack | Fill | Done) -> Problem | None:
    """What is wrong with the numbers of one report."""
    key = report.key
    if not 0 < len(key) <= KEY_LENGTH:
        return _problem("BadKey", key, f"expected 1 to {KEY_LENGTH} characters, found {len(key)}")
    match report:
        case Order():
            if len(report.symbol) > KEY_LENGTH:
                return _problem("BadKey", key, f"symbol of {len(report.symbol)} characters")
            numbers = {"quantity": report.quantity, "arrival": report.arrival}
        case Fill():
            if not 0 < len(report.trade) <= KEY_LENGTH:
                return _problem("BadKey", key, f"trade id of {len(report.trade)} characters")
            numbers = {"price": report.price, "quantity": report.quantity}
        case Ack():
            if report.latency < 0:
                return _problem("NegativeLatency", key, f"{report.book} ack {report.latency} ns")
            return None
        case Done():
            if report.filled is not None and not 0.0 <= report.filled < math.inf:
                return _problem("NotANumber", key, f"{report.book} done.filled is {report.filled}")
            return None
    for name, value in numbers.items():
        if not math.isfinite(value):
            return _problem("NotANumber", key, f"{report.book} {name} is {value}")
        if value <= 0.0:
            return _problem("NotPositive", key, f"{report.book} {name} is {value:g}")
    return None


def _unmatched(key: str, entry: _Entry) -> Problem:
    lacking = []
    for book, leg in entry.legs.items():
        if leg.order is None:
            lacking.append(f"{book} order")
        elif leg.done is None:
            lacking.append(f"{book} end")
        elif not leg.complete:
            lacking.append(f"{book} fills: {leg.filled:g} of {leg.awaited:g}")
    return _problem("Unmatched", key, f"lacks {', '.join(lacking)}")


def _problem(reason: str, key: str, text: str) -> Problem:
    return Problem(reason, f"order {key[:64]!r}: {text}")
