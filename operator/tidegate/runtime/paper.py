"""The paper broker: what an order would have done in the model that justified the strategy."""

from dataclasses import dataclass

from tidegate.api.wire import Ack, Done, Fill, Order, Report
from tidegate.runtime.strategy import Tick


@dataclass(frozen=True, slots=True)
class PaperModel:
    """Expected acknowledgement latency in ns and expected spread in basis points of the mid."""

    latency: int
    spread_bps: float

    def spread(self, tick: Tick) -> float:
        """The spread that paper assumes at this tick, in price units."""
        return tick.mid * self.spread_bps / 1e4


def simulate(order: Order, tick: Tick, model: PaperModel) -> tuple[Ack, Fill, Done]:
    """The whole life of a paper order: filled in full at the touch, acknowledged as modelled.

    The fill is dated now, not `latency` later: a strategy that waited for the model's delay would
    decide on other ticks than the live one.
    """
    price = tick.ask if order.side == "buy" else tick.bid
    return (
        Ack(order.key, "paper", model.latency, order.at),
        Fill(order.key, "paper", order.key, price, order.quantity, order.at),
        Done(order.key, "paper", "filled", order.at, order.quantity),
    )


def reports(order: Order, tick: Tick, model: PaperModel) -> list[Report]:
    """`order` and all that became of it."""
    return [order, *simulate(order, tick, model)]
