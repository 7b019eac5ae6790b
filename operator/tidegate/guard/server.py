"""What the guard tells over HTTP: evidence as a stream, health, metrics."""

import asyncio
import contextlib
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from tidegate.api.wire import EVIDENCE_PATH, Evidence, encode_evidence
from tidegate.guard.metrics import render

EVERY = 0.5
MOST_STREAMS = 16
# A reader that takes nothing for this long is dropped: its operator reconnects.
WRITE_TIMEOUT = 5.0


class EvidenceServer:
    """`notify` sends a line at once to every stream; otherwise one goes out each 0.5 s."""

    def __init__(
        self,
        evidence: Callable[[], Evidence],
        ready: Callable[[], bool],
        healthy: Callable[[], bool],
        registry: CollectorRegistry,
    ) -> None:
        self._evidence = evidence
        self._ready = ready
        self._healthy = healthy
        self._registry = registry
        self._streams: set[asyncio.Event] = set()
        self._closing = False

    def notify(self) -> None:
        for event in self._streams:
            event.set()

    def close(self) -> None:
        """End the streams, so that the server need not wait for them."""
        self._closing = True
        self.notify()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(EVIDENCE_PATH, self._stream)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._metrics)
        return app

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        if request.query.get("once"):
            line = encode_evidence(self._evidence())
            return web.Response(body=line, content_type="application/x-ndjson")
        if len(self._streams) >= MOST_STREAMS:
            return web.Response(status=503, text=f"expected at most {MOST_STREAMS} streams\n")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
        changed = asyncio.Event()
        self._streams.add(changed)
        try:
            await response.prepare(request)
            while not self._closing:
                changed.clear()
                line = encode_evidence(self._evidence())
                await asyncio.wait_for(response.write(line), WRITE_TIMEOUT)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(changed.wait(), EVERY)
        except (ConnectionError, TimeoutError):
            pass  # the reader is gone; nobody else depends on its stream
        finally:
            self._streams.discard(changed)
        return response

    async def _healthz(self, request: web.Request) -> web.Response:
        if self._healthy():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="the permit is not being refreshed\n")

    async def _readyz(self, request: web.Request) -> web.Response:
        """Ready once reports are read and the permit file says Halted or better.

        Not once the API answers: the strategy may start, halted, while it does not.
        """
        if self._ready():
            return web.Response(text="ok\n")
        return web.Response(status=503, text="starting\n")

    async def _metrics(self, request: web.Request) -> web.Response:
        return web.Response(
            body=render(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST}
        )
