"""What an algorithm sees: four callbacks, one context."""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Protocol

from tidegate.api.permit import Permit
from tidegate.api.wire import Book, Side


@dataclass(frozen=True, slots=True)
class Tick:
    """The touch of one symbol. `at` is CLOCK_MONOTONIC ns of its arrival here."""

    symbol: str
    bid: float
    ask: float
    at: int

    @property
    def mid(self) -> float:
        return (self.bid + self.ask) / 2.0


@dataclass(frozen=True, slots=True)
class Fill:
    """A fill in either book; `key` is what `Context.order` returned."""

    key: str
    book: Book
    symbol: str
    side: Side
    price: float
    quantity: float


class Context(Protocol):
    """What a strategy may ask and do. Quantities are in units of the symbol, buys positive."""

    @property
    def position(self) -> Mapping[str, float]:
        """Paper position by symbol: the strategy at full size, whatever its permit."""

    @property
    def live_position(self) -> Mapping[str, float]:
        """Live position by symbol, from the venue's fills."""

    @property
    def permit(self) -> Permit:
        """The permit in force now; Halted when missing, torn or expired."""

    def order(self, side: Side, quantity: float, *, symbol: str) -> str:
        """Order at the market; returns the key of the pair.

        Always trades on paper at full size. In mode Live it also goes to the venue, scaled to the
        permit's allocation, if the permit allows it at the moment of sending. Raises ValueError
        for a side, quantity or symbol that can't be ordered.
        """

    def cancel(self, key: str) -> None:
        """Ask the venue to cancel the live order `key`. Allowed whatever the permit says."""


class Strategy:
    """Base class of an algorithm. Every callback may be a plain function or a coroutine.

    Callbacks run one at a time on the event loop that also sends the orders: keep them short.
    """

    def on_start(self, ctx: Context) -> Awaitable[None] | None:
        """Once, before the first tick."""
        return None

    def on_tick(self, ctx: Context, tick: Tick) -> Awaitable[None] | None:
        """On every tick of every symbol."""
        return None

    def on_fill(self, ctx: Context, fill: Fill) -> Awaitable[None] | None:
        """On every fill, paper and live; never within the `order` call that caused it."""
        return None

    def on_stop(self, ctx: Context) -> Awaitable[None] | None:
        """Once, at SIGTERM. Orders placed here still need a permit."""
        return None
