"""One clock for the engine: wall time that can't jump while the process lives."""

import time
from datetime import UTC, datetime, timedelta


class Clock:
    """UTC anchored once to the monotonic clock.

    A stepped host clock must neither expire an override early nor make a dwell pass at once, so
    `now` advances with CLOCK_MONOTONIC from where the wall clock stood at the start.
    """

    def __init__(self) -> None:
        self._wall = datetime.now(UTC)
        self._mono = time.monotonic()

    def monotonic(self) -> float:
        """Seconds."""
        return time.monotonic()

    def now(self) -> datetime:
        """UTC."""
        return self._wall + timedelta(seconds=time.monotonic() - self._mono)
