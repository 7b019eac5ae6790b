"""KubeApi over one aiohttp session."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec

from tidegate.kube.api import (
    Gone,
    KubeError,
    ListResult,
    Object,
    Resource,
    Unavailable,
    WatchEvent,
    error_for,
)

REQUEST_TIMEOUT = 10.0
CONNECT_TIMEOUT = 5.0
# The apiserver sends a bookmark about once a minute: silence beyond is a dead connection.
WATCH_SILENCE = 75.0
_BROKEN = (aiohttp.ClientError, TimeoutError, OSError, ValueError, msgspec.MsgspecError)
# A list that expires again and again must end in an error, not in a loop.
MOST_LIST_RESTARTS = 3


class AiohttpKubeApi:
    """`session` carries TLS and authentication (see kube/config.py)."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str) -> None:
        self._session = session
        self._base = base_url.rstrip("/")

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> ListResult:
        for attempt in range(MOST_LIST_RESTARTS):
            try:
                return await self._list_once(
                    resource, namespace, _selectors(label_selector, field_selector), limit
                )
            except Gone:
                if attempt == MOST_LIST_RESTARTS - 1:
                    raise
        raise AssertionError("unreachable")

    async def _list_once(
        self, resource: Resource, namespace: str | None, params: dict[str, str], limit: int
    ) -> ListResult:
        items: list[Object] = []
        token = ""
        while True:
            page = {**params, "limit": str(limit)}
            if token:
                page["continue"] = token
            answer = await self._request("GET", resource.path(namespace), params=page)
            # Only the list says what its items are; readers of an item want to know.
            kind = {
                "apiVersion": answer.get("apiVersion"),
                "kind": str(answer.get("kind", "")).removesuffix("List"),
            }
            items += [{**kind, **item} for item in answer.get("items") or ()]
            meta = answer.get("metadata") or {}
            token = meta.get("continue") or ""
            if not token:
                return ListResult(items, str(meta.get("resourceVersion", "")))

    async def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
    ) -> AsyncIterator[WatchEvent]:
        params = {
            **_selectors(label_selector, field_selector),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": resource_version,
            "timeoutSeconds": str(timeout_seconds),
        }
        timeout = aiohttp.ClientTimeout(
            total=timeout_seconds + 30, sock_connect=CONNECT_TIMEOUT, sock_read=WATCH_SILENCE
        )
        url = self._base + resource.path(namespace)
        try:
            async with self._session.get(
                url, params=params, timeout=timeout, allow_redirects=False
            ) as response:
                await _raise_for_status(response)
                async for line in _lines(response.content):
                    yield _event(line)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _broken("watch", resource.plural, error) from error

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        return await self._request("GET", resource.path(namespace, name))

    async def create(
        self, resource: Resource, body: Object, namespace: str | None = None
    ) -> Object:
        return await self._request("POST", resource.path(namespace), body=body)

    async def merge_patch(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        body: Object,
        *,
        resource_version: str | None = None,
        subresource: str | None = None,
    ) -> Object:
        path = resource.path(namespace, name) + (f"/{subresource}" if subresource else "")
        if resource_version is not None:
            metadata = {**body.get("metadata", {}), "resourceVersion": resource_version}
            body = {**body, "metadata": metadata}
        return await self._request(
            "PATCH", path, body=body, content_type="application/merge-patch+json"
        )

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        options: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        options["propagationPolicy"] = "Background"
        if uid is not None:
            options["preconditions"] = {"uid": uid}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        await self._request("DELETE", resource.path(namespace, name), body=options)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        params: dict[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else msgspec.json.encode(body)
        headers = {} if data is None else {"Content-Type": content_type}
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT, sock_connect=CONNECT_TIMEOUT)
        try:
            async with self._session.request(
                method, self._base + path, params=params, data=data, headers=headers,
                timeout=timeout, allow_redirects=False,  # a token is for this server alone
            ) as response:  # fmt: skip
                await _raise_for_status(response)
                answer: Any = msgspec.json.decode(await response.read())
        except _BROKEN as error:
            raise _broken(method, path, error) from error
        if not isinstance(answer, dict):
            raise Unavailable(502, "BadAnswer", f"{method} {path}: expected a JSON object")
        return answer


def _selectors(label: str, field: str) -> dict[str, str]:
    found = {"labelSelector": label, "fieldSelector": field}
    return {key: value for key, value in found.items() if value}


def _broken(method: str, what: str, error: BaseException) -> KubeError:
    detail = str(error) or type(error).__name__
    reason = "Timeout" if isinstance(error, TimeoutError) else "ConnectionFailed"
    return Unavailable(0, reason, f"{method} {what}: {detail}")


async def _raise_for_status(response: aiohttp.ClientResponse) -> None:
    if response.status < 300:
        return
    text = (await response.read()).decode(errors="replace")
    try:
        status = msgspec.json.decode(text)
    except msgspec.MsgspecError:
        status = None
    if not isinstance(status, dict):
        status = {"message": text[:500] or f"HTTP {response.status}"}
    asked = response.headers.get("Retry-After", "")
    raise _refusal(response.status, status, float(asked) if asked.isdecimal() else None)


def _refusal(code: int, status: Object, retry_after: float | None = None) -> KubeError:
    """The error of a metav1.Status, which may say in its body when to come again."""
    details = status.get("details")
    seconds = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    if retry_after is None and isinstance(seconds, int) and seconds > 0:
        retry_after = float(seconds)
    message = str(status.get("message") or f"HTTP {code}")
    return error_for(code, str(status.get("reason") or ""), message, retry_after)


async def _lines(stream: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Lines of any length: `readline` gives up at 128 KiB, an object may have 1.5 MiB."""
    rest = b""
    async for chunk in stream.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line:
                yield line


def _event(line: bytes) -> WatchEvent:
    try:
        raw = msgspec.json.decode(line)
        kind, obj = raw["type"], raw["object"]
        if kind != "ERROR":
            obj["metadata"]["resourceVersion"]  # what every reader goes on from
    except (ValueError, LookupError, TypeError, msgspec.MsgspecError) as error:
        raise Unavailable(502, "BadAnswer", f"watch: unreadable event: {error}") from error
    if kind == "ERROR":
        status = obj if isinstance(obj, dict) else {}
        code = status.get("code")
        raise _refusal(code if isinstance(code, int) and code >= 400 else 500, status)
    return WatchEvent(kind, obj)
