"""How rough the residuals are now, from the past alone.

Markets are calm and rough in turns, and in a rough hour the tail probability *given the past* is
many times the average one: bets on exceedances of fixed levels would win every such hour. Their
levels are therefore multiplied by a factor σ >= 1 known before the event.

The factor must not see a drift as roughness, or the drift would raise the very levels that should
catch it. Hence the smaller of two adjacent absolute differences of y: a shift of the mean, however
large, makes one difference large and leaves its neighbour alone.
"""

from __future__ import annotations

from tidegate.core.drift.codec import as_float, as_list

NORMAL = 1.2
"""Average, in scales, up to which the residuals count as calm. The mean of the smaller adjacent
difference is .72 for Gaussian noise, .84 and .90 for Student t4 and t3: the gap to 1.2 keeps the
levels where they are in calm markets (delays grow by a tenth below it), while at 1.7 bursts of
clustered volatility already bring evidence of 1e10 and more."""

_DECAY = 1.0 / 8.0  # a burst is followed within some ten events, before bets on it compound
_CUT = 6.0  # one bad print raises the average by 3/4 at most, and for some ten events


class Volatility:
    """Exponential average of the smaller adjacent difference; ``factor`` is σ for the next event.

    As factor >= 1, a cap that bounds P(|h| > k | past) bounds P(|h| > k σ | past) too: this only
    weakens what the tail bets assume.
    """

    __slots__ = ("average", "difference", "factor", "last")

    def __init__(self) -> None:
        self.average = NORMAL
        self.difference = 0.0
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
        before = self.difference
        self.difference = difference
        smaller = before if before < difference else difference
        self.average = average = self.average + _DECAY * (smaller - self.average)
        self.factor = average / NORMAL if average > NORMAL else 1.0

    def to_list(self) -> list[float | None]:
        """JSON-safe state."""
        return [self.average, self.difference, self.last]

    @classmethod
    def from_list(cls, payload: object, owner: str) -> Volatility:
        """Inverse of to_list; ValueError names the field."""
        items = as_list(payload, owner, "volatility", 3)
        volatility = cls()
        volatility.average = as_float(items[0], owner, "volatility")
        volatility.difference = as_float(items[1], owner, "volatility")
        if not (0.0 <= volatility.average <= _CUT and 0.0 <= volatility.difference <= _CUT):
            raise ValueError(f"{owner}: volatility must be within [0, {_CUT}], found {payload!r}")
        if items[2] is not None:
            volatility.last = as_float(items[2], owner, "volatility")
        volatility.factor = max(volatility.average / NORMAL, 1.0)
        return volatility
