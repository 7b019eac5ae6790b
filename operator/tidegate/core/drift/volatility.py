"""How rough the residuals are now, from the past alone.

Markets are calm and rough in turns, and in a rough hour the tail probability *given the past* is
many times the average one: bets on exceedances of fixed levels would win every such hour. Their
levels are therefore multiplied by a factor σ >= 1 known before the event.

The factor must not see a drift as roughness, or the drift would raise the very levels that should
catch it. Hence it averages absolute *differences* of neighbours: a shift of the mean, however
large, makes a single one of them large.
"""

from __future__ import annotations

from tidegate.core.drift.codec import as_float, as_list

NORMAL = 2.2
"""Average difference, in scales, up to which residuals count as calm. Gaussian noise has 1.13,
Student t4 and t3 1.34 and 1.44: in calm markets the levels stay where they are, and delays with
them. Chosen together with the decay by simulation: over six GARCH(1,1) runs of 80,000 events the
evidence peaked at 5e5, against 1e20 and more without a factor, at equal delays of detection.
Harsher clustering is not covered: GARCH(.10, .88) with t5 shocks came to 4e11 in 700,000 events."""

_DECAY = 1.0 / 5.0  # a burst is followed within some five events, before bets on it compound
_CUT = 8.0  # one bad print raises the average by 1.6 twice, and for some five events


class Volatility:
    """Exponential average of |y - previous y|; ``factor`` is σ for the next event.

    As factor >= 1, a cap that bounds P(h > k | past) bounds P(h > k σ | past) too: this only
    weakens what the tail bets assume.
    """

    __slots__ = ("average", "factor", "last")

    def __init__(self) -> None:
        self.average = NORMAL / 2.0
        self.last: float | None = None
        self.factor = 1.0

    def take(self, y: float) -> None:
        """Take the whitened residual y (in scales, finite) of the event just judged."""
        last = self.last
        self.last = y
        if last is None:
            return
        difference = y - last if y > last else last - y
        if difference > _CUT:
            difference = _CUT
        self.average = average = self.average + _DECAY * (difference - self.average)
        self.factor = average / NORMAL if average > NORMAL else 1.0

    def to_list(self) -> list[float | None]:
        """JSON-safe state."""
        return [self.average, self.last]

    @classmethod
    def from_list(cls, payload: object, owner: str) -> Volatility:
        """Inverse of to_list; ValueError names the field."""
        items = as_list(payload, owner, "volatility", 2)
        volatility = cls()
        volatility.average = as_float(items[0], owner, "volatility")
        if not 0.0 <= volatility.average <= _CUT:
            raise ValueError(f"{owner}: volatility must be within [0, {_CUT}], found {payload!r}")
        if items[1] is not None:
            volatility.last = as_float(items[1], owner, "volatility")
        volatility.factor = max(volatility.average / NORMAL, 1.0)
        return volatility
