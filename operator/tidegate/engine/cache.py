"""What the watches have told us, by resource, namespace and name."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from tidegate.kube.api import Resource

Object = dict[str, Any]


def version(obj: Object) -> int:
    """A resourceVersion as a number: comparable within one resource (KEP-5504)."""
    text = str(obj["metadata"].get("resourceVersion", "0"))
    return int(text) if text.isdigit() else 0


class Cache:
    """Objects as last seen. Own writes go in too, so an old event never undoes them."""

    def __init__(self) -> None:
        self._objects: dict[Resource, dict[str, dict[str, Object]]] = defaultdict(
            lambda: defaultdict(dict)
        )
        self._synced: set[Resource] = set()

    def apply(self, resource: Resource, obj: Object) -> bool:
        """Take a newer version of an object; False when it is old news."""
        meta = obj["metadata"]
        names = self._objects[resource][meta.get("namespace", "")]
        known = names.get(meta["name"])
        if (
            known is not None
            and known["metadata"].get("uid") == meta.get("uid")
            and version(obj) <= version(known)
        ):
            return False
        names[meta["name"]] = obj
        return True

    def remove(self, resource: Resource, obj: Object) -> bool:
        """Take a deletion; False when the object was replaced by another of its name since."""
        meta = obj["metadata"]
        names = self._objects[resource][meta.get("namespace", "")]
        known = names.get(meta["name"])
        if known is None or known["metadata"].get("uid") != meta.get("uid"):
            return False
        del names[meta["name"]]
        return True

    def replace(self, resource: Resource, items: Iterable[Object], at: int) -> list[Object]:
        """Take a full list as of version `at`; returns the ghosts: objects that are gone."""
        seen: set[tuple[str, str]] = set()
        for obj in items:
            meta = obj["metadata"]
            seen.add((meta.get("namespace", ""), meta["name"]))
            self.apply(resource, obj)
        ghosts = [
            obj
            for obj in self.all(resource)
            if (obj["metadata"].get("namespace", ""), obj["metadata"]["name"]) not in seen
            and version(obj) <= at
        ]
        for obj in ghosts:
            self.remove(resource, obj)
        self._synced.add(resource)
        return ghosts

    def synced(self, resources: Iterable[Resource]) -> bool:
        """Whether each was listed in full at least once."""
        return all(resource in self._synced for resource in resources)

    def get(self, resource: Resource, namespace: str, name: str) -> Object | None:
        return self._objects[resource][namespace].get(name)

    def of(self, resource: Resource, namespace: str) -> list[Object]:
        return list(self._objects[resource][namespace].values())

    def all(self, resource: Resource) -> Iterator[Object]:
        for names in list(self._objects[resource].values()):
            yield from list(names.values())

    def namespaces(self, resource: Resource) -> list[str]:
        return [ns for ns, names in self._objects[resource].items() if names]
