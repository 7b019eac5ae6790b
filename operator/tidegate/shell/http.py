"""/healthz, /readyz and /metrics of the operator."""

import asyncio
from collections.abc import Callable

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST


async def serve(
    port: int,
    registry: CollectorRegistry,
    *,
    healthy: Callable[[], str],
    ready: Callable[[], str],
) -> web.AppRunner:
    """Listen on all addresses; `healthy` and `ready` return "" or what is wrong."""

    def probe(check: Callable[[], str]) -> Callable[[web.Request], "asyncio.Future[web.Response]"]:
        async def answer(_: web.Request) -> web.Response:
            trouble = check()
            return web.Response(text=trouble or "ok\n", status=503 if trouble else 200)

        return answer  # type: ignore[return-value]

    async def metrics(_: web.Request) -> web.Response:
        # Thousands of series take tens of milliseconds to print: not in the loop.
        body = await asyncio.to_thread(generate_latest, registry)
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    app = web.Application()
    app.router.add_get("/healthz", probe(healthy))
    app.router.add_get("/readyz", probe(ready))
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, None, port).start()
    return runner
