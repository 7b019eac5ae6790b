"""`tidegate venue`: serve the simulated venue until SIGTERM."""

import argparse
import asyncio
import contextlib
import signal
import sys
from random import Random

from aiohttp import web

from tidegate.runtime.venue.market import Control
from tidegate.runtime.venue.protocol import SYMBOLS
from tidegate.runtime.venue.server import Venue

PORT = 8080


def parser() -> argparse.ArgumentParser:
    flags = argparse.ArgumentParser(prog="tidegate venue", description=__doc__)
    flags.add_argument("--host", default="0.0.0.0", help="address to listen on")  # noqa: S104
    flags.add_argument("--port", type=int, default=PORT, help="0 takes a free one and prints it")
    flags.add_argument("--seed", type=int, default=None, help="of all randomness; default: random")
    flags.add_argument("--symbols", default=",".join(SYMBOLS), help="comma-separated")
    flags.add_argument("--tick-hz", type=float, default=20.0, help="ticks a second and symbol")
    return flags


async def serve(venue: Venue, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    runner = web.AppRunner(venue.app(), access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        address = runner.addresses[0]
        print(f"venue listening on {address[0]}:{address[1]}", flush=True)
        await stop.wait()
    finally:
        with contextlib.suppress(asyncio.TimeoutError):
            await runner.cleanup()


def main(argv: list[str]) -> int:
    """Exit status 2 for a wrong call, 1 when the port can't be had."""
    flags = parser().parse_args(argv)
    symbols = tuple(dict.fromkeys(s.strip() for s in flags.symbols.split(",") if s.strip()))
    if not symbols:
        print(f"venue: --symbols: expected names, was {flags.symbols!r}", file=sys.stderr)
        return 2
    try:
        control = Control().changed({"tickHz": flags.tick_hz})
    except ValueError as error:
        print(f"venue: --tick-hz: {error}", file=sys.stderr)
        return 2
    venue = Venue(symbols, Random(flags.seed), control)  # noqa: S311 - a simulation
    try:
        asyncio.run(serve(venue, flags.host, flags.port))
    except OSError as error:
        print(f"venue: {error}", file=sys.stderr)
        return 1
    return 0
