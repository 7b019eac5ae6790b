"""Whether the operator lives, judged by change seen here and never by comparing clocks. Pure."""


class HeartbeatSeen:
    """`look` at every sight of the Lease; `at` is when the operator surely lived, or None.

    A renewal that is seen now may have been made at any moment since the sight before, so it
    counts from there. A guard that was cut off for a minute thus learns from the first Lease it
    sees only that somebody renewed it once, and waits for the next renewal, a second later.
    """

    def __init__(self) -> None:
        self._version: str | None = None
        self._changed = 0.0
        self.at: float | None = None

    def look(self, version: str, now: float) -> None:
        """`version` differs for each renewal; `now` in monotonic seconds."""
        if version == self._version:
            return
        if self._version is not None:
            self.at = self._changed
        self._version, self._changed = version, now

    def gone(self) -> None:
        """The Lease was deleted: what was seen still holds until it is too old."""
        self._version = None
