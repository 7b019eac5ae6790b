"""The Kubernetes API as this project uses it: one small protocol, its errors, its resources.

KubeError              anything the API refused or failed to answer
├── NotFound           404
├── Conflict           409: AlreadyExists, or a resourceVersion or uid that is not current
├── Gone               410: a watch or list that is too old; list anew
├── TooManyRequests    429: retry_after says when
├── Invalid            400, 422, any other 4xx: the request is wrong and stays wrong
├── Forbidden          401, 403: RBAC, quota or an admission policy
└── Unavailable        408, 5xx, timeouts, connections that broke, answers that can't be read
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Object = dict[str, Any]


class KubeError(Exception):
    """`message` is the apiserver's own; `retry_after` seconds where it asked for that."""

    def __init__(
        self, status: int, reason: str, message: str, *, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class NotFound(KubeError):
    pass


class Conflict(KubeError):
    @property
    def already_exists(self) -> bool:
        return self.reason == "AlreadyExists"


class Gone(KubeError):
    pass


class TooManyRequests(KubeError):
    pass


class Invalid(KubeError):
    pass


class Forbidden(KubeError):
    @property
    def namespace_ends(self) -> bool:
        """Refused because the namespace is being deleted: nothing more can be created in it."""
        return "because it is being terminated" in self.message

    @property
    def quota_busy(self) -> bool:
        """Refused by a quota that is full, or too new to have counted: later it may fit."""
        return "exceeded quota" in self.message or "status unknown for quota" in self.message

    @property
    def unauthorised(self) -> bool:
        """Refused to us, by RBAC, and not because of what was asked."""
        return " cannot " in self.message and "in API group" in self.message


class Unavailable(KubeError):
    pass


_BY_STATUS: dict[int, type[KubeError]] = {
    401: Forbidden, 403: Forbidden, 404: NotFound, 408: Unavailable, 409: Conflict, 410: Gone,
    429: TooManyRequests,
}  # fmt: skip


def error_for(
    status: int, reason: str, message: str, retry_after: float | None = None
) -> KubeError:
    """The error of an HTTP status."""
    other = Invalid if 400 <= status < 500 else Unavailable
    return _BY_STATUS.get(status, other)(status, reason, message, retry_after=retry_after)


@dataclass(frozen=True, slots=True)
class Resource:
    group: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str | None = None, name: str | None = None) -> str:
        base = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        if namespace is not None and self.namespaced:
            base += f"/namespaces/{namespace}"
        base += f"/{self.plural}"
        return base if name is None else f"{base}/{name}"


STRATEGIES = Resource("tidegate.dev", "v1alpha1", "strategies")
DRIFTGATES = Resource("tidegate.dev", "v1alpha1", "driftgates")
GATETRANSITIONS = Resource("tidegate.dev", "v1alpha1", "gatetransitions")
PODS = Resource("", "v1", "pods")
RESOURCEQUOTAS = Resource("", "v1", "resourcequotas")
EVENTS = Resource("", "v1", "events")
LEASES = Resource("coordination.k8s.io", "v1", "leases")
ROLEBINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings")
NAMESPACES = Resource("", "v1", "namespaces", namespaced=False)


@dataclass(frozen=True, slots=True)
class ListResult:
    items: list[Object]
    resource_version: str


@dataclass(frozen=True, slots=True)
class WatchEvent:
    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: Object


class KubeApi(Protocol):
    """Every call raises KubeError and nothing else for what the network or the API does."""

    async def list(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        label_selector: str = "",
        field_selector: str = "",
        limit: int = 500,
    ) -> ListResult:
        """All objects, in chunks of `limit`; begins anew when the list expires half-way.

        Each item says its apiVersion and kind, as objects of a watch do.
        """
        ...

    def watch(
        self,
        resource: Resource,
        *,
        namespace: str | None = None,
        resource_version: str,
        label_selector: str = "",
        field_selector: str = "",
        timeout_seconds: int = 300,
    ) -> AsyncIterator[WatchEvent]:
        """Events since `resource_version`, bookmarks included; ends at the server's timeout.

        Raises Gone when `resource_version` is too old, Unavailable when the stream breaks or says
        nothing, not even a bookmark, for longer than the apiserver ever is silent.
        """
        ...

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object: ...

    async def create(
        self, resource: Resource, body: Object, namespace: str | None = None
    ) -> Object: ...

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
        """RFC 7386 patch; with `resource_version`, Conflict unless that is the current one."""
        ...

    async def delete(
        self,
        resource: Resource,
        name: str,
        namespace: str | None = None,
        *,
        uid: str | None = None,
        grace_seconds: int | None = None,
    ) -> None:
        """With `uid`, Conflict unless the object is that very one."""
        ...
