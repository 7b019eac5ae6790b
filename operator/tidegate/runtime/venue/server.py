"""The venue's HTTP and WebSocket server."""

import asyncio
import contextlib
import json
import math
import time
from dataclasses import dataclass, field
from random import Random
from typing import Any

from aiohttp import WSMsgType, web
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tidegate.runtime.venue.market import Control, Market
from tidegate.runtime.venue.protocol import (
    Acked,
    Cancel,
    Ended,
    Filled,
    NewOrder,
    Ping,
    Refused,
    Response,
    decode_request,
    encode,
)

QUEUE = 2000
MAX_QUANTITY = 1e9
# asyncio's epoll waits in whole milliseconds, rounded up: half of one, on average, is not service.
TIMER_ROUNDING = 0.0005


@dataclass(eq=False)
class Session:
    """One client: what it is to be told, and its orders that are not executed yet."""

    outbox: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(QUEUE))
    working: dict[str, NewOrder] = field(default_factory=dict)
    slow: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, *messages: Response) -> None:
        """Queue messages; a client that does not read them is cut off, not waited for."""
        for message in messages:
            try:
                self.outbox.put_nowait(encode(message))
            except asyncio.QueueFull:
                self.slow.set()
                return


class Venue:
    """State of the venue; `app` serves it."""

    def __init__(self, symbols: tuple[str, ...], random: Random, control: Control) -> None:
        self.control = control
        self.changed_at: float | None = None
        self.first_fill: float | None = None
        self._market = Market(symbols, random)
        self._symbols = symbols
        # Not from the seed: a restarted venue must not give out the same trade ids again.
        self._boot = f"{time.time_ns():x}"
        self._trades = 0
        self._sessions: set[Session] = set()
        self.registry = CollectorRegistry()
        self._orders = Counter(
            "venue_orders", "Orders received.", ["status"], registry=self.registry
        )
        self._fills = Counter("venue_fills", "Fills made.", registry=self.registry)
        self._slow = Counter(
            "venue_slow_clients", "Clients cut off for not reading.", registry=self.registry
        )

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/ws", self._ws)
        app.router.add_get("/control", self._get_control)
        app.router.add_post("/control", self._post_control)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._metrics)
        app.cleanup_ctx.append(self._ticking)
        return app

    async def _ticking(self, app: web.Application) -> Any:
        task = asyncio.create_task(self._tick())
        yield
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1.0 / self.control.tick_hz)
            for symbol in self._symbols:
                touch = self._market.step(symbol, self.control)
                for session in self._sessions:
                    session.tell(touch)

    async def _ws(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(heartbeat=20.0, max_msg_size=64 * 1024)
        await ws.prepare(request)
        session = Session()
        self._sessions.add(session)
        tasks = [
            asyncio.create_task(self._write(ws, session)),
            asyncio.create_task(self._cut(ws, session)),
        ]
        try:
            async for message in ws:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self._receive(session, message.data)
        finally:
            self._sessions.discard(session)
            session.working.clear()  # a broken connection cancels what was not executed
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return ws

    async def _write(self, ws: web.WebSocketResponse, session: Session) -> None:
        while True:
            await ws.send_str(await session.outbox.get())

    async def _cut(self, ws: web.WebSocketResponse, session: Session) -> None:
        await session.slow.wait()
        self._slow.inc()
        await ws.close(code=1008, message=b"too slow")

    def _receive(self, session: Session, data: str | bytes) -> None:
        try:
            request = decode_request(data)
        except ValueError as error:
            session.tell(Refused(str(error)))
            return
        later = asyncio.get_running_loop().call_later
        delay = max(self._market.latency(self.control) - TIMER_ROUNDING, 0.0)
        match request:
            case Ping():
                later(delay, session.tell, request)
            case NewOrder():
                if request.key in session.working:
                    self._reject(session, request, f"key {request.key!r} is already working")
                    return
                session.working[request.key] = request
                later(delay, self._serve, session, request)
            case Cancel():
                order = session.working.pop(request.key, None)
                if order is not None:
                    later(delay, session.tell, Ended(request.key, "cancelled", 0.0))

    def _serve(self, session: Session, order: NewOrder) -> None:
        if session.working.get(order.key) is not order:
            return  # cancelled, or its connection is gone
        del session.working[order.key]
        if order.symbol not in self._symbols:
            symbols = ", ".join(self._symbols)
            self._reject(session, order, f"symbol: expected one of {symbols}, was {order.symbol!r}")
            return
        if not (math.isfinite(order.quantity) and 0.0 < order.quantity <= MAX_QUANTITY):
            self._reject(
                session, order, f"quantity: expected within (0, 1e9], was {order.quantity!r}"
            )
            return
        fills = self._market.execute(order.symbol, order.side, order.quantity, self.control)
        messages: list[Response] = [Acked(order.key)]
        filled = 0.0
        for price, quantity in fills:
            self._trades += 1
            filled += quantity
            messages.append(Filled(order.key, f"{self._boot}-{self._trades}", price, quantity))
        status = "filled" if filled >= order.quantity * (1.0 - 1e-9) else "expired"
        messages.append(Ended(order.key, "filled" if status == "filled" else "expired", filled))
        if fills and self.changed_at is not None and self.first_fill is None:
            self.first_fill = time.time()
        self._orders.labels(status).inc()
        self._fills.inc(len(fills))
        session.tell(*messages)

    def _reject(self, session: Session, order: NewOrder, why: str) -> None:
        self._orders.labels("rejected").inc()
        session.tell(Ended(order.key, "rejected", 0.0, why))

    def _control(self) -> web.Response:
        return web.json_response(
            {
                **self.control.dump(),
                "changedAt": self.changed_at,
                "firstFillAfterChangeAt": self.first_fill,
            }
        )

    async def _get_control(self, request: web.Request) -> web.Response:
        return self._control()

    async def _post_control(self, request: web.Request) -> web.Response:
        try:
            body = json.loads(await request.text())
        except (ValueError, RecursionError) as error:
            return web.json_response({"error": f"control: expected JSON, {error}"}, status=400)
        try:
            self.control = self.control.changed(body)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        self.changed_at, self.first_fill = time.time(), None
        return self._control()

    async def _healthz(self, request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
