"""The WebSocket to the venue: ticks in, orders out, round trips measured."""

import asyncio
import logging
import random
import time
from collections import deque
from collections.abc import Callable

import aiohttp

from tidegate.api.wire import Order, Probe, Report
from tidegate.runtime.strategy import Strategy, Tick
from tidegate.runtime.trader import Trader
from tidegate.runtime.venue.protocol import (
    Acked,
    Cancel,
    Ended,
    Filled,
    NewOrder,
    Ping,
    Refused,
    Request,
    Touch,
    decode_response,
    encode,
)

log = logging.getLogger(__name__)

PROBE_EVERY = 0.05
BACKOFF_FIRST = 0.1
BACKOFF_LAST = 5.0
# Ticks come many times a second: silence this long is a dead connection.
SILENCE = 10.0
PROBES_OUT = 1000


class VenueLink:
    """One connection at a time to `url`; `run` keeps it up until cancelled.

    `expected` is the latency in ns that paper assumes, for the probes.
    """

    def __init__(
        self,
        url: str,
        trader: Trader,
        strategy: Strategy,
        report: Callable[[Report], None],
        *,
        expected: int,
        random: random.Random,
    ) -> None:
        self._url = url
        self._trader = trader
        self._strategy = strategy
        self._report = report
        self._expected = expected
        self._random = random
        self._outbox: deque[Order | Cancel] = deque()
        self._waiting = asyncio.Event()
        self._connected = False
        self._probes: dict[int, int] = {}
        self._probe = 0

    @property
    def connected(self) -> bool:
        return self._connected

    def submit(self, order: Order) -> None:
        self._outbox.append(order)
        self._waiting.set()

    def cancel(self, key: str) -> None:
        if self._connected:
            self._outbox.append(Cancel(key))
            self._waiting.set()

    async def run(self) -> None:
        failures = 0
        async with aiohttp.ClientSession() as session:
            while True:
                began = time.monotonic()
                try:
                    await self._connect(session)
                except (aiohttp.ClientError, OSError, TimeoutError) as error:
                    if failures in (0, 9):
                        log.warning("venue %s: %s", self._url, error or type(error).__name__)
                # A connection that held for a while starts the backoff anew.
                failures = 0 if time.monotonic() - began > BACKOFF_LAST else failures + 1
                ceiling = min(BACKOFF_LAST, BACKOFF_FIRST * 2.0 ** min(failures, 10))
                await asyncio.sleep(self._random.uniform(0.0, ceiling))

    async def _connect(self, session: aiohttp.ClientSession) -> None:
        async with session.ws_connect(
            self._url, timeout=aiohttp.ClientWSTimeout(ws_receive=SILENCE, ws_close=1.0)
        ) as ws:
            log.info("venue %s: connected", self._url)
            self._outbox.clear()
            self._probes.clear()
            self._connected = True
            tasks = [asyncio.create_task(self._send(ws)), asyncio.create_task(self._ping(ws))]
            try:
                await self._read(ws)
            finally:
                self._connected = False
                self._trader.disconnected()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await ws.receive()
            now = time.monotonic_ns()
            if message.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                if message.type in (
                    aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSING,
                    aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR,
                ):  # fmt: skip
                    return
                continue
            try:
                response = decode_response(message.data)
            except ValueError as error:
                log.warning("venue %s: %s", self._url, error)
                continue
            match response:
                case Touch(symbol, bid, ask):
                    await self._trader.tick(self._strategy, Tick(symbol, bid, ask, now))
                case Ping(number):
                    began = self._probes.pop(number, None)
                    if began is not None:
                        self._report(Probe(now - began, self._expected, now))
                case Acked(key):
                    self._trader.acked(key, now)
                case Filled(key, trade, price, quantity):
                    self._trader.filled(key, trade, price, quantity, now)
                case Ended(key, status, filled):
                    self._trader.done(key, status, filled, now)
                    await self._trader.deliver(self._strategy)
                case Refused(text):
                    log.warning("venue %s refused a message: %s", self._url, text)

    async def _send(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            await self._waiting.wait()
            self._waiting.clear()
            while self._outbox:
                item = self._outbox.popleft()
                if isinstance(item, Cancel):
                    await self._write(ws, item)
                    continue
                order = self._trader.admit(item)
                if order is None:
                    continue
                # The frame is in the transport before send_str first suspends.
                request = NewOrder(order.key, order.symbol, order.side, order.quantity)
                self._trader.sent(order)
                await self._write(ws, request)

    async def _ping(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            self._probe += 1
            if len(self._probes) >= PROBES_OUT:
                del self._probes[next(iter(self._probes))]
            self._probes[self._probe] = time.monotonic_ns()
            await self._write(ws, Ping(self._probe))
            await asyncio.sleep(PROBE_EVERY)

    async def _write(self, ws: aiohttp.ClientWebSocketResponse, message: Request) -> None:
        try:
            await ws.send_str(encode(message))
        except (ConnectionError, RuntimeError) as error:
            # The reader sees the same end and reconnects.
            log.debug("venue %s: %s", self._url, error)
