"""The trader: what goes to paper, what to the venue, under which permit."""

import math
from typing import Any

import pytest

from tidegate.api.permit import HALTED, Permit, State
from tidegate.api.wire import Ack, Done, Fill, Order, Quote, Report, Step
from tidegate.runtime import Strategy, Tick
from tidegate.runtime.paper import PaperModel
from tidegate.runtime.samples import MeanReversion, Momentum
from tidegate.runtime.strategy import Context
from tidegate.runtime.strategy import Fill as StrategyFill
from tidegate.runtime.trader import Trader

SECOND = 1_000_000_000


class FakePermit:
    permit = Permit(State.ACTIVE, 100)

    def read(self) -> Permit:
        return self.permit


class FakeLink:
    connected = True

    def __init__(self, trader: Trader) -> None:
        self.trader = trader
        self.orders: list[Order] = []

    def submit(self, order: Order) -> None:
        self.orders.append(order)

    def cancel(self, key: str) -> None:
        raise AssertionError


class Desk:
    def __init__(self, mode: Any = "Live") -> None:
        self.now = SECOND
        self.reports: list[Report] = []
        self.permit = FakePermit()
        self.trader = Trader(
            mode=mode, name="s", permit=self.permit, model=PaperModel(50_000_000, 2.0),  # type: ignore[arg-type]
            report=self.reports.append, clock=lambda: self.now,
        )  # fmt: skip
        self.link = FakeLink(self.trader)
        self.trader.link = self.link

    async def tick(self, strategy: Strategy | None = None, bid: float = 99.0) -> None:
        await self.trader.tick(strategy or Strategy(), Tick("BTC", bid, bid + 2.0, self.now))

    def execute(self, quantity: float | None = None) -> Order | None:
        """Send the last submitted order and fill it."""
        order = self.trader.admit(self.link.orders.pop())
        if order is not None:
            self.trader.sent(order)
            self.trader.filled(order.key, "t", 100.0, order.quantity, self.now)
            self.trader.done(order.key, "filled", order.quantity, self.now)
        return order


async def test_an_order_fills_on_paper_at_the_touch_and_in_full() -> None:
    desk = Desk("Paper")
    await desk.tick()
    desk.reports.clear()
    key = desk.trader.order("buy", 2.0, symbol="BTC")
    assert desk.reports == [
        Order(key, "paper", "BTC", "buy", 2.0, 100.0, SECOND),
        Ack(key, "paper", 50_000_000, SECOND),
        Fill(key, "paper", key, 101.0, 2.0, SECOND),
        Done(key, "paper", "filled", SECOND, 2.0),
    ]
    assert desk.trader.position == {"BTC": 2.0}
    assert desk.link.orders == []


async def test_live_is_scaled_by_the_permit_at_the_moment_of_sending() -> None:
    desk = Desk()
    await desk.tick()
    key = desk.trader.order("sell", 2.0, symbol="BTC")
    desk.permit.permit = Permit(State.ACTIVE, 25)
    desk.now += 1000
    order = desk.execute()
    assert order == Order(key, "live", "BTC", "sell", 0.5, 100.0, SECOND + 1000)
    assert desk.trader.position == {"BTC": -2.0}
    assert desk.trader.live_position == {"BTC": -0.5}


async def test_halted_trades_on_paper_only() -> None:
    desk = Desk()
    await desk.tick()
    desk.trader.order("buy", 1.0, symbol="BTC")
    desk.permit.permit = HALTED
    assert desk.execute() is None
    assert desk.trader.position == {"BTC": 1.0}
    assert not [r for r in desk.reports if isinstance(r, Order) and r.book == "live"]
    assert desk.trader.refused == 1


async def test_reducing_only_shrinks_and_never_crosses_zero() -> None:
    desk = Desk()
    await desk.tick()
    desk.trader.order("buy", 3.0, symbol="BTC")
    desk.execute()
    desk.permit.permit = Permit(State.REDUCING, 100)
    desk.trader.order("buy", 1.0, symbol="BTC")
    assert desk.execute() is None
    desk.trader.order("sell", 2.0, symbol="BTC")
    order = desk.trader.admit(desk.link.orders.pop())
    assert order is not None
    assert order.quantity == 2.0
    desk.trader.sent(order)  # under way: its fill is spoken for
    desk.trader.order("sell", 2.0, symbol="BTC")
    order = desk.execute()
    assert order is not None
    assert order.quantity == 1.0


async def test_an_order_that_waited_too_long_is_not_sent() -> None:
    desk = Desk()
    await desk.tick()
    desk.trader.order("buy", 1.0, symbol="BTC")
    desk.now += SECOND + 1
    assert desk.execute() is None


@pytest.mark.parametrize(
    ("side", "quantity", "symbol", "named"),
    [
        ("hold", 1.0, "BTC", "side"),
        ("buy", 0.0, "BTC", "quantity"),
        ("buy", math.nan, "BTC", "quantity"),
        ("buy", 1.0, "DOGE", "symbol.*BTC.*DOGE"),
    ],
)
async def test_impossible_orders_are_named(
    side: Any, quantity: float, symbol: str, named: str
) -> None:
    desk = Desk()
    await desk.tick()
    with pytest.raises(ValueError, match=named):
        desk.trader.order(side, quantity, symbol=symbol)


async def test_a_step_is_reported_with_its_duration_and_quotes_ten_times_a_second() -> None:
    desk = Desk()

    class Slow(Strategy):
        async def on_tick(self, ctx: Context, tick: Tick) -> None:
            desk.now += 7

    for _ in range(20):
        await desk.tick(Slow())
        desk.now += 50_000_000
    steps = [r for r in desk.reports if isinstance(r, Step)]
    assert [s.n for s in steps] == list(range(1, 21))
    assert {s.latency for s in steps} == {7}
    quotes = [r for r in desk.reports if isinstance(r, Quote)]
    assert 10 <= len(quotes) <= 11
    assert quotes[0].paper_spread == pytest.approx(0.02)


async def test_on_fill_comes_after_on_tick_and_errors_do_not_end_the_loop() -> None:
    desk = Desk()
    seen: list[str] = []

    class Ordering(Strategy):
        def on_tick(self, ctx: Context, tick: Tick) -> None:
            ctx.order("buy", 1.0, symbol="BTC")
            seen.append("ticked")
            raise RuntimeError("a strategy's own bug")

        def on_fill(self, ctx: Context, fill: StrategyFill) -> None:
            seen.append(fill.book)

    await desk.tick(Ordering())
    await desk.tick(Ordering())
    assert seen == ["ticked", "paper"] * 2


@pytest.mark.parametrize("sample", [MeanReversion, Momentum])
async def test_samples_trade_both_sides_within_rate_and_position(
    sample: type[Strategy], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_ORDERS_PER_SECOND", "8")
    import random

    rng, desk, strategy, mid = random.Random(1), Desk("Paper"), sample(), 100.0
    for _ in range(400):  # 20 s
        mid *= 1.0 + rng.gauss(0.0, 1e-4)
        await desk.tick(strategy, bid=mid)
        desk.now += 50_000_000
        assert abs(desk.trader.position.get("BTC", 0.0)) <= 10.0
    sides = [r.side for r in desk.reports if isinstance(r, Order)]
    assert 60 <= len(sides) <= 8 * 20 + 1
    assert min(sides.count("buy"), sides.count("sell")) > 10


def test_sample_settings_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_ORDERS_PER_SECOND", "fast")
    with pytest.raises(ValueError, match=r"TIDEGATE_ORDERS_PER_SECOND.*'fast'"):
        MeanReversion()
