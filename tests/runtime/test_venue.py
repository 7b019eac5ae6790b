"""The simulated venue over real HTTP and WebSocket, and its market as pure code."""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer

from tidegate.runtime.venue.market import Control, Market
from tidegate.runtime.venue.protocol import (
    Acked,
    Cancel,
    Ended,
    Filled,
    NewOrder,
    Ping,
    Refused,
    Touch,
    decode_response,
    encode,
)
from tidegate.runtime.venue.server import QUEUE, Session, Venue

Client = TestClient[Any, Any]


@pytest.fixture
async def client() -> AsyncIterator[Client]:
    venue = Venue(("BTC", "ETH"), Random(1), Control(latency_ms=2.0, tick_hz=100.0))
    async with TestClient(TestServer(venue.app())) as made:
        yield made


async def answers(ws: Any, *, until: type) -> list[Any]:
    """Everything but ticks, up to the first of type `until`."""
    out = []
    async with asyncio.timeout(5):
        while True:
            message = decode_response((await ws.receive()).data)
            if not isinstance(message, Touch) or until is Touch:
                out.append(message)
            if isinstance(message, until):
                return out


async def test_an_order_is_acknowledged_filled_and_ended(client: Client) -> None:
    async with client.ws_connect("/ws") as ws:
        (tick,) = await answers(ws, until=Touch)
        assert tick.bid < tick.ask
        await ws.send_str(encode(NewOrder("k", "BTC", "buy", 2.0)))
        ack, *fills, end = await answers(ws, until=Ended)
        assert ack == Acked("k")
        assert end.filled == pytest.approx(sum(f.quantity for f in fills))
        assert 1.98 < end.filled <= 2.0
        for fill in fills:
            assert isinstance(fill, Filled)
            assert fill.price == pytest.approx(tick.ask, rel=0.01)


@pytest.mark.parametrize(
    ("order", "named"),
    [
        (NewOrder("k", "DOGE", "buy", 1.0), "DOGE"),
        (NewOrder("k", "BTC", "buy", -1.0), "quantity"),
        (NewOrder("k", "BTC", "buy", 1e300), "quantity"),
    ],
)
async def test_impossible_orders_are_rejected(client: Client, order: NewOrder, named: str) -> None:
    async with client.ws_connect("/ws") as ws:
        await ws.send_str(encode(order))
        (end,) = await answers(ws, until=Ended)
        assert (end.status, end.filled) == ("rejected", 0.0)
        assert named in end.message


async def test_cancel_probe_and_rubbish(client: Client) -> None:
    await client.post("/control", json={"latencyMs": 50})
    async with client.ws_connect("/ws") as ws:
        await ws.send_str(encode(NewOrder("k", "BTC", "buy", 1.0)))
        await ws.send_str(encode(Cancel("k")))
        (end,) = await answers(ws, until=Ended)
        assert (end.status, end.filled) == ("cancelled", 0.0)
        began = time.perf_counter()
        await ws.send_str(encode(Ping(7)))
        assert await answers(ws, until=Ping) == [Ping(7)]
        assert time.perf_counter() - began > 0.02
        for rubbish in ("", "{", "[]", '{"type":"order"}', '{"type":"tick"}', "9" * 5000):
            await ws.send_str(rubbish)
            assert len(await answers(ws, until=Refused)) == 1


async def test_control_changes_execution_and_dates_the_first_fill(client: Client) -> None:
    before = await (await client.get("/control")).json()
    assert before["changedAt"] is None
    changed = await (await client.post("/control", json={"slippageBps": 100})).json()
    assert changed["slippageBps"] == 100
    assert changed["firstFillAfterChangeAt"] is None
    async with client.ws_connect("/ws") as ws:
        await ws.send_str(encode(NewOrder("k", "BTC", "sell", 1.0)))
        await answers(ws, until=Ended)
    after = await (await client.get("/control")).json()
    assert changed["changedAt"] <= after["firstFillAfterChangeAt"] <= time.time()
    assert "venue_orders_total" in await (await client.get("/metrics")).text()


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ('{"slippageBps": "high"}', ["slippageBps", "number", "'high'"]),
        ('{"fillRatio": 1.5}', ["fillRatio", "0 to 1", "1.5"]),
        ('{"latencyMs": true}', ["latencyMs", "True"]),
        ('{"tickHz": 1' + "0" * 400 + "}", ["tickHz"]),
        ('{"spreadFactor": NaN}', ["spreadFactor", "nan"]),
        ('{"slipage": 1}', ["slippageBps", "slipage"]),
        ("[1]", ["object", "list"]),
        ("{", ["JSON"]),
    ],
)
async def test_bad_control_is_a_400_that_names_it(
    client: Client, body: str, parts: list[str]
) -> None:
    answer = await client.post("/control", data=body)
    assert answer.status == 400
    error = (await answer.json())["error"]
    for part in parts:
        assert part in error
    assert (await (await client.get("/control")).json())["changedAt"] is None


async def test_health(client: Client) -> None:
    assert (await client.get("/healthz")).status == 200


async def test_a_client_that_does_not_read_is_cut_off_not_waited_for() -> None:
    session = Session()
    for _ in range(QUEUE):
        session.tell(Acked("k"))
    assert not session.slow.is_set()
    session.tell(Acked("k"))
    assert session.slow.is_set()


def test_healthy_residuals_are_modest_and_centred() -> None:
    market, random = Market(("BTC",), Random(2)), Random(3)
    prices, spreads, latencies = [], [], []
    for _ in range(4000):
        touch = market.step("BTC", Control())
        spreads.append((touch.ask - touch.bid) / touch.bid * 1e4)
        latencies.append(market.latency(Control()))
        side: Any = random.choice(("buy", "sell"))
        fills = market.execute("BTC", side, 1.0, Control())
        vwap = sum(p * q for p, q in fills) / sum(q for _, q in fills)
        paper = touch.ask if side == "buy" else touch.bid
        prices.append((vwap / paper - 1) * (1 if side == "buy" else -1) * 1e4)
    assert abs(statistics.mean(prices)) < 0.5
    assert 3 < statistics.stdev(prices) < 8
    assert statistics.median(spreads) == pytest.approx(2.0, rel=0.05)
    assert statistics.median(latencies) == pytest.approx(0.05, rel=0.05)


def test_slippage_is_against_either_side_and_fill_ratio_holds() -> None:
    control = Control(slippage_bps=200, fill_ratio=0.5)
    market = Market(("BTC",), Random(2))
    touch = market.touch["BTC"]
    for side, worse in (("buy", 1.02 * touch.ask), ("sell", 0.98 * touch.bid)):
        fills = market.execute("BTC", side, 4.0, control)  # type: ignore[arg-type]
        assert fills[0][0] == pytest.approx(worse, rel=2e-3)
        assert sum(q for _, q in fills) == pytest.approx(2.0, rel=0.01)
