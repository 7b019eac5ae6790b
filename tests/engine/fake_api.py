"""A FAKE apiserver that fails on demand; test_fake_contract.py holds it to the real one."""

import copy
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

from tidegate.kube.api import (
    Conflict,
    KubeError,
    ListResult,
    NotFound,
    Object,
    Resource,
    WatchEvent,
)

Fault = Callable[[str, Resource, str], KubeError | None]


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386, as printed there."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merged(out.get(key), value)
    return out


class FakeApi:
    """`fault(verb, resource, name)` may return an error to raise before anything happens."""

    def __init__(self) -> None:
        self.objects: dict[tuple[Resource, str, str], Object] = {}
        self.calls: Counter[tuple[str, str]] = Counter()
        self.order: list[tuple[str, str, str]] = []
        self.fault: Fault = lambda *_: None
        # As `fault`, but after it was done: the answer was lost, not the write.
        self.lost: Fault = lambda *_: None
        self._version = 0

    def _begin(self, verb: str, resource: Resource, name: str) -> None:
        self.calls[verb, resource.plural] += 1
        self.order.append((verb, resource.plural, name))
        if error := self.fault(verb, resource, name):
            raise error

    def _stored(self, resource: Resource, obj: Object) -> Object:
        self._version += 1
        meta = obj["metadata"]
        meta["resourceVersion"] = str(self._version)
        self.objects[resource, meta.get("namespace", ""), meta["name"]] = obj
        return copy.deepcopy(obj)

    def _found(self, resource: Resource, namespace: str | None, name: str) -> Object:
        try:
            return self.objects[resource, namespace or "", name]
        except KeyError:
            raise NotFound(404, "NotFound", f"{resource.plural} {name!r} not found") from None

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> ListResult:
        self._begin("list", resource, "")
        wanted = dict(p.split("=") for p in label_selector.split(",") if "=" in p)
        items = [
            copy.deepcopy(obj)
            for (kind, ns, _), obj in self.objects.items()
            if kind == resource
            and namespace in (None, ns)
            and wanted.items() <= (obj["metadata"].get("labels") or {}).items()
        ]
        return ListResult(items, str(self._version))

    async def watch(self, resource: Resource, **_: Any) -> AsyncIterator[WatchEvent]:
        raise NotImplementedError
        yield

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        self._begin("get", resource, name)
        return copy.deepcopy(self._found(resource, namespace, name))

    async def create(
        self, resource: Resource, body: Object, namespace: str | None = None
    ) -> Object:
        name = body["metadata"]["name"]
        self._begin("create", resource, name)
        if (resource, namespace or "", name) in self.objects:
            raise Conflict(409, "AlreadyExists", f"{resource.plural} {name!r} already exists")
        obj = copy.deepcopy(body)
        obj["metadata"].update(namespace=namespace or "", uid=str(uuid.uuid4()), generation=1)
        stored = self._stored(resource, obj)
        if error := self.lost("create", resource, name):
            raise error
        return stored

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
        self._begin(f"patch {subresource}" if subresource else "patch", resource, name)
        old = self._found(resource, namespace, name)
        if resource_version not in (None, old["metadata"]["resourceVersion"]):
            raise Conflict(409, "Conflict", "the object has been modified")
        return self._stored(resource, merged(copy.deepcopy(old), body))

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        self._begin("delete", resource, name)
        old = self._found(resource, namespace, name)
        if uid not in (None, old["metadata"]["uid"]):
            raise Conflict(409, "Conflict", "the uid is another")
        del self.objects[resource, namespace or "", name]
