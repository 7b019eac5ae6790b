"""The host's door, on loopback: bytes, half-closing, resets and slow readers pass through it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from cluster.forward import free_port, serve

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def listener() -> socket.socket:
    made = socket.socket()
    made.bind(("127.0.0.1", 0))
    made.listen(64)
    return made


@asynccontextmanager
async def door(handler: Handler | None) -> AsyncIterator[int]:
    """Port of a forwarder to a server with this handler; None: to a port where nothing listens."""
    inner, outer = listener(), listener()
    target = inner.getsockname()
    server = None
    if handler is None:
        inner.close()
    else:
        server = await asyncio.start_server(handler, sock=inner)
    task = asyncio.create_task(serve(outer, target))
    try:
        yield outer.getsockname()[1]
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        if server is not None:
            server.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while block := await reader.read(65536):
        writer.write(block)
        await writer.drain()
    writer.write(b"END")  # only a half-closed connection can still be written to
    writer.close()


async def test_megabytes_come_back_whole_after_half_closing() -> None:
    sent = bytes(range(256)) * 16384  # 4 MB: far more than any socket buffer
    async with door(echo) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def push() -> None:
            writer.write(sent)
            await writer.drain()
            writer.write_eof()

        got, _ = await asyncio.gather(reader.read(-1), push())
        writer.close()
    assert got == sent + b"END"


async def test_a_dead_server_looks_reset_not_silent() -> None:
    async with door(None) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        with pytest.raises(ConnectionResetError):
            await asyncio.wait_for(reader.read(-1), 5)
        writer.close()


async def test_a_server_that_closes_is_passed_on() -> None:
    async def goodbye(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"bye")
        writer.close()

    async with door(goodbye) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(-1), 5) == b"bye"
        writer.close()


async def test_many_connections_at_once() -> None:
    async def one(port: int, number: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(str(number).encode())
        writer.write_eof()
        got = await reader.read(-1)
        writer.close()
        return got

    async with door(echo) as port:
        got = await asyncio.gather(*(one(port, number) for number in range(50)))
    assert got == [f"{number}END".encode() for number in range(50)]


def test_a_taken_port_is_not_chosen() -> None:
    with listener() as taken:
        port = taken.getsockname()[1]
        assert free_port(port) != port
