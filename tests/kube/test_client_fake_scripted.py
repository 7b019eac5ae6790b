"""More of what the client must survive, played by a scripted FAKE apiserver on 127.0.0.1."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tidegate.kube import client
from tidegate.kube.api import (
    LEASES,
    PODS,
    STRATEGIES,
    Gone,
    TooManyRequests,
    Unavailable,
    WatchEvent,
)
from tidegate.kube.client import AiohttpKubeApi

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class FakeServer:
    """Answers each request by the next of `script`, the last one for ever; keeps what was asked."""

    script: list[Handler] = field(default_factory=list)
    requests: list[tuple[str, str, dict[str, str], Any]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.requests.append(
            (request.method, request.path, dict(request.query), json.loads(body or b"null"))
        )
        handler = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        return await handler(request)


def says(status: int, body: Any, **headers: str) -> Handler:
    async def answer(_: web.Request) -> web.Response:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        return web.json_response(body, status=status, headers=named)

    return answer


def refuses(code: int, reason: str = "", message: str = "no", **details: Any) -> Handler:
    status = {"kind": "Status", "reason": reason, "message": message, "details": details}
    return says(code, {**status, "code": code})


def streams(*chunks: bytes, then: str = "end") -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        response.enable_chunked_encoding()
        await response.prepare(request)
        for chunk in chunks:
            await response.write(chunk)
        if then == "break":
            assert request.transport is not None
            request.transport.abort()
        return response

    return answer


def event(kind: str, version: int, **more: Any) -> bytes:
    obj = {"metadata": {"name": "a", "resourceVersion": str(version)}, **more}
    return json.dumps({"type": kind, "object": obj}).encode() + b"\n"


def page(names: str, *, token: str = "", version: str = "9") -> Handler:
    return says(
        200,
        {
            "apiVersion": "tidegate.dev/v1alpha1",
            "kind": "StrategyList",
            "metadata": {"resourceVersion": version, "continue": token},
            "items": [{"metadata": {"name": name}} for name in names],
        },
    )


@pytest.fixture
async def server() -> FakeServer:
    return FakeServer()


@pytest.fixture
async def api(server: FakeServer) -> AsyncIterator[AiohttpKubeApi]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", server.handle)
    async with TestServer(app) as running, aiohttp.ClientSession() as session:
        yield AiohttpKubeApi(session, str(running.make_url("")))


async def seen(api: AiohttpKubeApi, **options: Any) -> list[WatchEvent]:
    return [e async for e in api.watch(STRATEGIES, resource_version="5", **options)]


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        (says(429, {}, Retry_After="7"), 7.0),
        (refuses(429, retryAfterSeconds=3), 3.0),
        (says(429, {}, Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"), None),
        (refuses(429), None),
    ],
)
async def test_fake_too_many_requests_says_when(
    server: FakeServer, api: AiohttpKubeApi, answer: Handler, seconds: float | None
) -> None:
    server.script = [answer]
    with pytest.raises(TooManyRequests) as caught:
        await api.get(PODS, "a", "ns")
    assert caught.value.retry_after == seconds


async def test_fake_an_error_that_is_no_status_is_told_as_it_is(
    server: FakeServer, api: AiohttpKubeApi
) -> None:
    async def proxy(_: web.Request) -> web.Response:
        return web.Response(status=502, text="<html>bad gateway</html>")

    server.script = [proxy, says(500, ["not", "a", "status"])]
    with pytest.raises(Unavailable, match="bad gateway"):
        await api.get(PODS, "a", "ns")
    with pytest.raises(Unavailable, match="not"):
        await api.get(PODS, "a", "ns")


async def test_fake_a_redirect_is_not_followed(server: FakeServer, api: AiohttpKubeApi) -> None:
    server.script = [says(307, {}, Location="/elsewhere"), says(200, {})]
    with pytest.raises(Unavailable):
        await api.get(PODS, "a", "ns")
    assert len(server.requests) == 1


async def test_fake_a_request_that_hangs_ends_at_its_timeout(
    server: FakeServer, api: AiohttpKubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(_: web.Request) -> web.Response:
        await asyncio.sleep(30)
        raise AssertionError

    monkeypatch.setattr(client, "REQUEST_TIMEOUT", 0.1)
    server.script = [hang]
    with pytest.raises(Unavailable) as caught:
        await api.get(PODS, "a", "ns")
    assert caught.value.reason == "Timeout"


async def test_fake_a_list_goes_on_page_by_page(server: FakeServer, api: AiohttpKubeApi) -> None:
    server.script = [page("ab", token="t1"), page("c")]
    listed = await api.list(STRATEGIES, namespace="ns", label_selector="x=y", limit=2)
    assert [item["metadata"]["name"] for item in listed.items] == ["a", "b", "c"]
    assert {item["kind"] for item in listed.items} == {"Strategy"}
    assert listed.resource_version == "9"
    asked = [query for _, _, query, _ in server.requests]
    assert asked == [
        {"labelSelector": "x=y", "limit": "2"},
        {"labelSelector": "x=y", "limit": "2", "continue": "t1"},
    ]


async def test_fake_a_list_that_always_expires_ends_in_gone(
    server: FakeServer, api: AiohttpKubeApi
) -> None:
    server.script = [refuses(410, "Expired")]
    with pytest.raises(Gone):
        await api.list(STRATEGIES)
    assert len(server.requests) == client.MOST_LIST_RESTARTS


async def test_fake_a_watch_reads_lines_however_they_are_cut(
    server: FakeServer, api: AiohttpKubeApi
) -> None:
    long = event("MODIFIED", 7, spec={"text": "x" * 300_000})
    line = event("ADDED", 6)
    server.script = [streams(line[:9], line[9:] + long[:50], long[50:], event("BOOKMARK", 8))]
    events = await seen(api, namespace="ns", field_selector="metadata.name=a")
    assert [e.type for e in events] == ["ADDED", "MODIFIED", "BOOKMARK"]
    assert len(events[1].object["spec"]["text"]) == 300_000
    _, path, query, _ = server.requests[0]
    assert path == "/apis/tidegate.dev/v1alpha1/namespaces/ns/strategies"
    assert query == {
        "watch": "true", "allowWatchBookmarks": "true", "resourceVersion": "5",
        "timeoutSeconds": "300", "fieldSelector": "metadata.name=a",
    }  # fmt: skip


async def test_fake_a_watch_that_is_too_old_is_gone(
    server: FakeServer, api: AiohttpKubeApi
) -> None:
    error = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old"}
    line = json.dumps({"type": "ERROR", "object": error}).encode() + b"\n"
    server.script = [refuses(410, "Expired"), streams(event("ADDED", 6), line)]
    for _ in range(2):
        with pytest.raises(Gone):
            await seen(api)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type": "ADDED", "obj\n', b"[]\n", b'{"type": "ADDED", "object": {}}\n',
        b'{"type": "ADDED", "object": null}\n', b'{"type": "ERROR", "object": 3}\n',
        b'{"type": "ERROR", "object": {"code": "x"}}\n', b"\xff\xfe\n",
    ],
)  # fmt: skip
async def test_fake_a_watch_event_that_cannot_be_read_is_unavailable(
    server: FakeServer, api: AiohttpKubeApi, line: bytes
) -> None:
    server.script = [streams(line)]
    with pytest.raises(Unavailable):
        await seen(api)


async def test_fake_a_stream_that_breaks_is_unavailable_after_its_events(
    server: FakeServer, api: AiohttpKubeApi
) -> None:
    server.script = [streams(event("ADDED", 6), event("MODIFIED", 7)[:20], then="break")]
    events = []
    with pytest.raises(Unavailable):
        async for e in api.watch(STRATEGIES, resource_version="5"):
            events.append(e)
    assert [e.type for e in events] == ["ADDED"]


async def test_fake_preconditions_are_put_into_the_request(
    server: FakeServer, api: AiohttpKubeApi
) -> None:
    server.script = [says(200, {})]
    body = {"metadata": {"labels": {"a": "b"}}, "status": {"phase": None}}
    await api.merge_patch(STRATEGIES, "s", "ns", body, resource_version="41", subresource="status")
    await api.delete(LEASES, "l", "ns", uid="u-1", grace_seconds=0)
    (_, path, _, patch), (method, _, _, options) = server.requests
    assert path.endswith("/strategies/s/status")
    assert patch["metadata"] == {"labels": {"a": "b"}, "resourceVersion": "41"}
    assert patch["status"] == {"phase": None}
    assert "resourceVersion" not in body["metadata"]
    assert method == "DELETE"
    assert options["preconditions"] == {"uid": "u-1"}
    assert options["gracePeriodSeconds"] == 0
