"""From reports to residuals x, one number per event of a family. Pure.

price    side · (live vwap - paper vwap) / paper vwap, positive where live is worse; per pair
volume   live filled / ordered - paper filled / ordered; per pair
latency  ln(live / paper) of an order's acknowledgements, ln(latency / expected) of a probe
market   ln(spread / the spread that paper assumed); per quote
"""

import math
from dataclasses import dataclass

from tidegate.api.wire import Probe, Quote
from tidegate.guard.pairing import AckPair, Pair, Problem

LOG_FAMILIES = ("latency", "market")
# A clock can't resolve less: a latency of zero is "faster than can be told".
LEAST_LATENCY = 1_000


@dataclass(frozen=True, slots=True)
class Residual:
    """`live` tells evidence of real orders from evidence that needs none."""

    family: str
    x: float
    live: bool


def of_pair(pair: Pair) -> list[Residual]:
    """Residuals of a completed pair; without fills on both sides there is no price to compare."""
    out = []
    if not (pair.live.cancelled or pair.paper.cancelled):
        out.append(Residual("volume", pair.live.ratio - pair.paper.ratio, live=True))
    paper, live = pair.paper.vwap, pair.live.vwap
    if paper is not None and live is not None:
        sign = 1.0 if pair.side == "buy" else -1.0
        out.append(Residual("price", sign * (live - paper) / paper, live=True))
    return out


def of_acks(acks: AckPair) -> Residual:
    return Residual("latency", _log_ratio(acks.live, acks.paper), live=True)


def of_probe(probe: Probe) -> Residual | Problem:
    if probe.latency < 0:
        return Problem("NegativeLatency", f"probe latency is {probe.latency} ns")
    if probe.expected <= 0:
        return Problem("NotPositive", f"probe expected is {probe.expected} ns")
    return Residual("latency", _log_ratio(probe.latency, probe.expected), live=False)


def of_quote(quote: Quote) -> Residual | Problem | None:
    """None for a locked market (bid = ask): no spread, no evidence either way."""
    values = {"bid": quote.bid, "ask": quote.ask, "paper_spread": quote.paper_spread}
    symbol = quote.symbol[:32]
    for name, value in values.items():
        if not math.isfinite(value):
            return Problem("NotANumber", f"quote {symbol}: {name} is {value}")
        if value <= 0.0:
            return Problem("NotPositive", f"quote {symbol}: {name} is {value:g}")
    if quote.ask < quote.bid:
        return Problem("Crossed", f"quote {symbol}: ask {quote.ask:g} is below bid {quote.bid:g}")
    spread = quote.ask - quote.bid
    if spread <= 0.0:
        return None
    return Residual("market", math.log(spread) - math.log(quote.paper_spread), live=False)


def _log_ratio(latency: int, expected: int) -> float:
    # Logs of the parts: integers beyond any float have one, their quotient may not.
    return math.log(max(latency, LEAST_LATENCY)) - math.log(max(expected, LEAST_LATENCY))


def to_unit(family: str, bps: float) -> float:
    """Basis points of the family in the unit of x: a fraction, or a log ratio (500 bps = ln 1.05).

    Raises ValueError for -10000 bps or less of a log ratio: there is no such ratio.
    """
    if family in LOG_FAMILIES:
        return math.log1p(bps / 1e4)
    return bps / 1e4


def to_bps(family: str, x: float) -> float:
    """Inverse of `to_unit`; saturates instead of overflowing."""
    if family in LOG_FAMILIES:
        return math.expm1(min(x, 50.0)) * 1e4
    return x * 1e4
