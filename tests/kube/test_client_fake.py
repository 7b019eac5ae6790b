"""The client against a FAKE apiserver: faults that a real one can't produce on demand."""

import asyncio
import json
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tidegate.kube import client
from tidegate.kube.api import (
    PODS,
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    KubeError,
    NotFound,
    TooManyRequests,
    Unavailable,
)
from tidegate.kube.client import AiohttpKubeApi
from tidegate.kube.informer import Informer

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[AiohttpKubeApi]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a fake apiserver whose every request goes to one handler."""
    runners: list[web.AppRunner] = []
    async with aiohttp.ClientSession() as session:

        async def start(handler: Handler) -> AiohttpKubeApi:
            app = web.Application()
            app.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            runners.append(runner)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            host, port = runner.addresses[0][:2]
            return AiohttpKubeApi(session, f"http://{host}:{port}")

        yield start
        for runner in runners:
            await runner.cleanup()


def status(code: int, reason: str, message: str, **headers: str) -> web.Response:
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return web.json_response(body, status=code, headers=headers)


@pytest.mark.parametrize(
    ("code", "error"),
    [
        (400, Invalid), (401, Forbidden), (403, Forbidden), (404, NotFound), (409, Conflict),
        (410, Gone), (422, Invalid), (429, TooManyRequests), (500, Unavailable), (503, Unavailable),
        (408, Unavailable), (418, Invalid),
    ],
)  # fmt: skip
async def test_each_status_has_its_error_and_keeps_the_apiserver_s_words(
    serve: Serve, code: int, error: type[KubeError]
) -> None:
    async def handler(_: web.Request) -> web.Response:
        return status(code, "Because", "said the apiserver")

    api = await serve(handler)
    with pytest.raises(error, match="said the apiserver") as caught:
        await api.get(PODS, "a", "ns")
    assert type(caught.value) is error
    assert caught.value.reason == "Because"


async def test_retry_after_is_handed_on(serve: Serve) -> None:
    async def handler(_: web.Request) -> web.Response:
        return status(429, "TooManyRequests", "slow down", **{"Retry-After": "7"})

    with pytest.raises(TooManyRequests) as caught:
        await (await serve(handler)).get(PODS, "a", "ns")
    assert caught.value.retry_after == 7


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1]", b'{"kind": "Pod"', b"\xff\xfe"])
async def test_an_answer_that_is_no_json_object_is_unavailable(serve: Serve, body: bytes) -> None:
    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=body)

    with pytest.raises(Unavailable):
        await (await serve(handler)).get(PODS, "a", "ns")


async def test_a_list_that_expires_half_way_begins_anew(serve: Serve) -> None:
    calls: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        token = request.query.get("continue", "")
        calls.append(token)
        if token == "old":
            return status(410, "Expired", "too old")
        name = "a" if not token else "b"
        meta = {"resourceVersion": "5"} | ({"continue": _next(calls)} if not token else {})
        return web.json_response({"metadata": meta, "items": [{"metadata": {"name": name}}]})

    listed = await (await serve(handler)).list(PODS)
    assert [o["metadata"]["name"] for o in listed.items] == ["a", "b"]
    assert calls == ["", "old", "", "new"]


def _next(calls: list[str]) -> str:
    return "old" if len(calls) == 1 else "new"


def lines(*events: Any) -> bytes:
    return b"".join(json.dumps(e).encode() + b"\n" for e in events)


async def stream(request: web.Request, data: bytes) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    await response.write(data)
    return response


async def test_a_watch_gives_long_events_and_raises_gone_for_an_error_event(serve: Serve) -> None:
    long = {
        "type": "ADDED",
        "object": {"metadata": {"resourceVersion": "2", "note": "x" * 300_000}},
    }
    gone = {"type": "ERROR", "object": {"code": 410, "reason": "Expired", "message": "too old"}}

    async def handler(request: web.Request) -> web.StreamResponse:
        return await stream(request, lines(long, gone))

    api = await serve(handler)
    seen = []
    with pytest.raises(Gone):
        async for event in api.watch(PODS, resource_version="1"):
            seen.append(event.type)
    assert seen == ["ADDED"]


async def test_a_watch_that_falls_silent_is_unavailable(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "WATCH_SILENCE", 0.3)

    async def handler(request: web.Request) -> web.StreamResponse:
        response = await stream(request, b"")
        await asyncio.sleep(5)
        return response

    api = await serve(handler)
    began = time.monotonic()
    with pytest.raises(Unavailable):
        async for _ in api.watch(PODS, resource_version="1"):
            pass
    assert time.monotonic() - began < 4


async def test_nothing_listens_is_unavailable() -> None:
    async with aiohttp.ClientSession() as session:
        with pytest.raises(Unavailable):
            await AiohttpKubeApi(session, "http://127.0.0.1:1").get(PODS, "a", "ns")


async def test_an_informer_lists_again_after_gone_and_survives_every_fault(serve: Serve) -> None:
    lists = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal lists
        if "watch" not in request.query:
            lists += 1
            if lists == 2:
                return status(500, "InternalError", "oops")
            meta = {"resourceVersion": str(lists)}
            items = [{"metadata": {"name": f"list-{lists}", "resourceVersion": "1"}}]
            return web.json_response({"metadata": meta, "items": items})
        if lists < 3:
            return status(410, "Expired", "too old")
        event = {"type": "ADDED", "object": {"metadata": {"name": "new", "resourceVersion": "9"}}}
        response = await stream(request, lines(event) + b'{"type": "ADD')
        await asyncio.sleep(0.05)
        return response

    replaced: list[str] = []
    changed: list[tuple[str, bool]] = []
    informer = Informer(
        api=await serve(handler),
        resource=PODS,
        clock=time.monotonic,
        random=random.Random(1),
        on_replace=lambda items: replaced.append(items[0]["metadata"]["name"]),
        on_change=lambda obj, exists: changed.append((obj["metadata"]["name"], exists)),
    )
    task = asyncio.create_task(informer.run())
    async with asyncio.timeout(10):
        while not changed:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert not task.done()
    task.cancel()
    assert replaced == ["list-1", "list-3"]
    assert changed[0] == ("new", True)
    assert informer.synced
