"""Reports to the guard: batched datagrams that never block the strategy."""

import asyncio
import contextlib
import socket
import time
from collections import deque
from pathlib import Path

from tidegate.api.wire import Ack, Done, Fill, Report, encode_reports

FLUSH_EVERY = 0.005
RECONNECT_EVERY = 0.2
# Small enough for any SO_SNDBUF, large enough that a burst is a handful of datagrams.
BATCH = 64
PENDING = 4096


class Reporter:
    """Sends to the guard's socket at `path`, whether it is there yet or not.

    The queue of a unix datagram socket is short (net.unix.max_dgram_qlen, often 10), so a full
    one is normal: what does not fit waits for the next flush, the oldest beyond PENDING is dropped
    and counted. A report lost to a dead guard is no loss: its permit has expired too.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._socket: socket.socket | None = None
        self._pending: deque[Report] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._tried = -RECONNECT_EVERY
        self.sent = 0
        self.dropped = 0

    def add(self, report: Report) -> None:
        """Queue one report; fills, acks and ends of orders leave at once."""
        if len(self._pending) >= PENDING:
            self._pending.popleft()
            self.dropped += 1
        self._pending.append(report)
        if isinstance(report, Fill | Ack | Done):
            self._schedule(0.0)
        elif self._timer is None:
            self._schedule(FLUSH_EVERY)

    def _schedule(self, delay: float) -> None:
        if self._timer is not None:
            if delay > 0.0 or self._timer.when() <= asyncio.get_running_loop().time():
                return
            self._timer.cancel()
        # Even "at once" is the end of this callback, so that an ack, its fill and its end that
        # arrived together share a datagram.
        self._timer = asyncio.get_running_loop().call_later(delay, self.flush)

    def flush(self) -> None:
        """Send what is pending as far as the socket takes it. Never raises."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._pending:
            if self._socket is None and not self._connect():
                break
            assert self._socket is not None
            batch = [self._pending[i] for i in range(min(BATCH, len(self._pending)))]
            try:
                self._socket.send(encode_reports(batch))
            except BlockingIOError:
                break
            except OSError:
                self.close()
                continue
            for _ in batch:
                self._pending.popleft()
            self.sent += len(batch)
        if self._pending:
            with contextlib.suppress(RuntimeError):  # no loop: the last flush of a process
                self._schedule(FLUSH_EVERY)

    def _connect(self) -> bool:
        now = time.monotonic()
        if now - self._tried < RECONNECT_EVERY:
            return False
        self._tried = now
        fresh = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        fresh.setblocking(False)
        try:
            fresh.connect(str(self._path))
        except OSError:
            fresh.close()
            return False
        self._socket = fresh
        return True

    def close(self) -> None:
        """Close the socket; pending reports stay for the next one."""
        if self._socket is not None:
            self._socket.close()
        self._socket = None
