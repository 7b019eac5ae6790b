"""The host's door to the API: a port on the host's loopback, carried into the cluster's network.

    python -m cluster.forward HOLDER_PID PORT TARGET_ADDRESS TARGET_PORT

A socket belongs to the network namespace in which it was made. So the listener is made first, on
the host's loopback; then the process moves into the cluster's namespace, and every connection
that it opens from there on is inside. No interface, route or firewall rule of the host is touched.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import struct
import sys

CLONE_NEWNET = 0x40000000
_HIGH_WATER = 1 << 20


def enter_network(pid: int) -> None:
    """setns(2) into the network of a process. os.setns only came with Python 3.12."""
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        if libc.setns(handle, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"setns to the network of {pid}: {os.strerror(code)}")
    finally:
        os.close(handle)


class End(asyncio.Protocol):
    """One side of a connection: bytes read here are written to the other side."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.peer: End | None = None
        self.ended = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=_HIGH_WATER)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.write(data)

    def eof_received(self) -> bool:
        # Half-closing is part of TCP: pass it on and stay open until the other side ends too.
        self.ended = True
        peer = self.peer.transport if self.peer else None
        if self.peer is not None and self.peer.ended:
            if peer is not None:
                peer.close()
            return False
        if peer is not None and peer.can_write_eof():
            with contextlib.suppress(OSError, RuntimeError):
                peer.write_eof()
        return True

    def pause_writing(self) -> None:
        # A slow reader on this side must slow the other side down, not fill our memory.
        if self.peer is not None and self.peer.transport is not None:
            self.peer.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and self.peer.transport is not None:
            with contextlib.suppress(RuntimeError):
                self.peer.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        peer = self.peer.transport if self.peer else None
        if peer is None or peer.is_closing():
            return
        if error is not None:
            reset(peer)  # a killed apiserver must look killed, not politely closed
        peer.close()


class Door(End):
    """The host's side: opens the inner connection when a client comes."""

    def __init__(self, target: tuple[str, int]) -> None:
        super().__init__()
        self.target = target
        self.opening: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert self.transport is not None
        self.transport.pause_reading()
        self.opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        assert self.transport is not None
        inner = End()
        inner.peer = self
        try:
            await asyncio.get_running_loop().create_connection(lambda: inner, *self.target)
        except OSError:
            reset(self.transport)
            self.transport.abort()
            return
        self.peer = inner
        if self.transport.is_closing():
            assert inner.transport is not None
            inner.transport.close()
            return
        self.transport.resume_reading()


def reset(transport: asyncio.Transport) -> None:
    """Makes closing send RST, which is what a client of a dead server sees."""
    sock = transport.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


async def serve(listener: socket.socket, target: tuple[str, int]) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Door(target), sock=listener, backlog=512)
    async with server:
        await server.serve_forever()


def free_port(preferred: int) -> int:
    """A free port on the host's loopback: `preferred` where it is free."""
    for candidate in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", candidate))
                return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")


def main(argv: list[str]) -> None:
    pid, port, address, target_port = argv
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", int(port)))
    enter_network(int(pid))
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(serve(listener, (address, int(target_port))))


if __name__ == "__main__":
    main(sys.argv[1:])
