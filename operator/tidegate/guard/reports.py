"""Reports of the strategy: datagrams on a unix socket, many read at each wake-up."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable
from pathlib import Path

log = logging.getLogger(__name__)

# The largest datagram a sender with a default SO_SNDBUF can make.
LARGEST = 256 * 1024
RECEIVE_BUFFER = 4 * 1024 * 1024
# One burst must not keep the permit from being refreshed.
AT_ONCE = 256


class ReportSocket:
    """Hands every datagram to `receive`, which must not raise. Raises OSError if it can't bind."""

    def __init__(self, path: Path, receive: Callable[[bytes], None]) -> None:
        self._path = path
        self._receive = receive
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        try:
            self._socket.bind(str(path))
            # The strategy's container may run as anybody.
            path.chmod(0o666)
        except OSError:
            self._socket.close()
            raise
        # One buffer for all: recv allocates what it is asked for before it knows the length.
        self._buffer = bytearray(LARGEST)
        self._view = memoryview(self._buffer)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket, self._drain)

    def _drain(self) -> None:
        for _ in range(AT_ONCE):
            try:
                length = self._socket.recv_into(self._buffer)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                log.warning("%s: %s", self._path, error)
                return
            # What was too long for the buffer is cut, and then no JSON.
            self._receive(bytes(self._view[:length]))

    def close(self) -> None:
        self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(OSError):
            self._path.unlink()
