"""`tidegate run MODULE:CLASS`: run a strategy until SIGTERM."""

import asyncio
import importlib
import logging
import os
import random
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidegate.api.wire import PERMIT_FILE, REPORT_SOCKET, RUN_DIR
from tidegate.runtime.live import VenueLink
from tidegate.runtime.paper import PaperModel
from tidegate.runtime.permit import PermitReader
from tidegate.runtime.report import Reporter
from tidegate.runtime.strategy import Strategy
from tidegate.runtime.trader import Mode, Trader
from tidegate.runtime.venue.protocol import LATENCY_MS, SPREAD_BPS

USAGE = """usage: tidegate run MODULE:CLASS

environment:
  TIDEGATE_VENUE_URL          the venue, such as ws://venue:8080/ws (required)
  TIDEGATE_MODE               Paper (default) or Live
  TIDEGATE_STRATEGY           name, for keys of orders (default: strategy)
  TIDEGATE_RUN_DIR            permit and report socket (default: /run/tidegate)
  TIDEGATE_PAPER_LATENCY_MS   acknowledgement latency that paper expects (default: 50)
  TIDEGATE_PAPER_SPREAD_BPS   spread that paper expects (default: 2)"""


class UsageError(Exception):
    """Names the argument or variable, what was expected and what was found."""


@dataclass(frozen=True)
class RuntimeConfig:
    url: str
    mode: Mode
    name: str
    run_dir: Path
    model: PaperModel

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "RuntimeConfig":
        """Raises UsageError."""
        url = env.get("TIDEGATE_VENUE_URL", "")
        if not url.startswith(("ws://", "wss://", "http://", "https://")):
            raise UsageError(f"TIDEGATE_VENUE_URL: expected ws://HOST:PORT/ws, was {url!r}")
        mode = env.get("TIDEGATE_MODE", "Paper")
        if mode not in ("Paper", "Live"):
            raise UsageError(f"TIDEGATE_MODE: expected Paper or Live, was {mode!r}")
        latency = _number(env, "TIDEGATE_PAPER_LATENCY_MS", LATENCY_MS, most=60_000.0)
        return cls(
            url=url,
            mode="Live" if mode == "Live" else "Paper",
            name=env.get("TIDEGATE_STRATEGY") or "strategy",
            run_dir=Path(env.get("TIDEGATE_RUN_DIR") or RUN_DIR),
            model=PaperModel(
                latency=max(round(latency * 1e6), 1),
                spread_bps=_number(env, "TIDEGATE_PAPER_SPREAD_BPS", SPREAD_BPS, most=10_000.0),
            ),
        )


def _number(env: Mapping[str, str], name: str, default: float, *, most: float) -> float:
    text = env.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = -1.0
    if not 0.0 < value <= most:
        raise UsageError(f"{name}: expected a number above 0 and at most {most:g}, was {text!r}")
    return value


def load(target: str) -> Strategy:
    """An instance of the class that "module:Class" names. Raises UsageError."""
    module_name, colon, class_name = target.partition(":")
    if not colon or not module_name or not class_name:
        raise UsageError(f"strategy: expected MODULE:CLASS, was {target!r}")
    try:
        found: Any = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"strategy {target}: {error}; is it on PYTHONPATH?") from error
    for part in class_name.split("."):
        found = getattr(found, part, None)
    if not (isinstance(found, type) and issubclass(found, Strategy)):
        raise UsageError(
            f"strategy {target}: expected a class that derives from tidegate.runtime.Strategy, "
            f"found {found!r}"
        )
    try:
        return found()
    except ValueError as error:
        raise UsageError(f"strategy {target}: {error}") from error


async def run(strategy: Strategy, config: RuntimeConfig) -> None:
    """Trade until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    reporter = Reporter(config.run_dir / REPORT_SOCKET)
    permit = PermitReader(config.run_dir / PERMIT_FILE)
    trader = Trader(
        mode=config.mode, name=config.name, permit=permit, model=config.model, report=reporter.add
    )
    link = VenueLink(
        config.url, trader, strategy, reporter.add,
        expected=config.model.latency, random=random.Random(),  # noqa: S311 - jitter
    )  # fmt: skip
    trader.link = link
    await trader.call(strategy.on_start)
    venue = asyncio.create_task(link.run())
    ended = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait((venue, ended), return_when=asyncio.FIRST_COMPLETED)
        if venue.done():
            await venue  # it ends only by an error, and that is one to die of
        await trader.call(strategy.on_stop)
        await asyncio.sleep(0)  # the sender's turn: what on_stop ordered leaves, if permitted
    finally:
        for task in (venue, ended):
            task.cancel()
        await asyncio.gather(venue, ended, return_exceptions=True)
        reporter.flush()
        reporter.close()
        permit.close()


def main(argv: list[str]) -> int:
    """Exit status 2 for a wrong call or environment."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if len(argv) != 1 or argv[0] in ("-h", "--help"):
        print(USAGE, file=sys.stderr)
        return 0 if argv and argv[0] in ("-h", "--help") else 2
    sys.path.insert(0, str(Path.cwd()))
    try:
        config = RuntimeConfig.from_env(os.environ)
        strategy = load(argv[0])
    except UsageError as error:
        print(f"tidegate run: {error}", file=sys.stderr)
        return 2
    asyncio.run(run(strategy, config))
    return 0
