"""What a pod costs in the currency of ResourceQuota.

After Kubernetes v1.35: component-helpers/resource (PodRequests, PodLimits), the pod evaluator of
quota/v1, and the defaults that the apiserver fills in before it counts.
"""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tidegate.api.quantity import parse_quantity

Amounts = dict[str, Decimal]

# A quota that counts one of these refuses a pod in which a container does not state it.
MUST_BE_STATED = (
    "cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory",
)  # fmt: skip
_COMPUTE = ("cpu", "memory", "ephemeral-storage")


def pod_demand(pod_spec: Mapping[str, Any]) -> Amounts:
    """Resource names as a quota spells them, to amounts; `pods` and `count/pods` are 1.

    As Kubernetes counts (KEP-753): native sidecars add to the containers; each plain init container
    runs together with the sidecars started before it, and the largest such moment counts if it is
    more. Pod-level resources (KEP-2837), where given, stand for the sum. Overhead comes on top.

    One of MUST_BE_STATED that some container leaves out is left out here: there is no amount of it
    that a quota would charge, the apiserver refuses the pod (`unstated` names the containers).
    Raises ValueError for a quantity that can't be read.
    """
    requests, limits = _total(pod_spec, "requests"), _total(pod_spec, "limits")
    level = _pod_level(pod_spec, requests)
    requests.update(level["requests"])
    limits.update(level["limits"])
    for name, amount in _parsed(pod_spec.get("overhead")).items():
        requests[name] = requests.get(name, Decimal(0)) + amount
        if limits.get(name):
            limits[name] += amount
    demand: Amounts = {"pods": Decimal(1), "count/pods": Decimal(1)}
    if _has_pod_level(pod_spec):
        demand.update(dict.fromkeys(MUST_BE_STATED, Decimal(0)))
    for name, amount in requests.items():
        demand[f"requests.{name}"] = amount
        if name in _COMPUTE or name.startswith("hugepages-"):
            demand[name] = amount
    for name in _COMPUTE:
        if name in limits:
            demand[f"limits.{name}"] = limits[name]
    for name in unstated(pod_spec):
        demand.pop(name, None)
    return demand


def unstated(pod_spec: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Each of MUST_BE_STATED that is not stated in every container, with those containers."""
    if _has_pod_level(pod_spec):
        return {}
    containers = _containers(pod_spec)
    missing = {
        name: tuple(str(c.get("name", "")) for c in containers if not _states(c, name))
        for name in MUST_BE_STATED
    }
    return {name: containers for name, containers in missing.items() if containers}


def _containers(pod_spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*(pod_spec.get("initContainers") or ()), *(pod_spec.get("containers") or ())]


def _states(container: Mapping[str, Any], name: str) -> bool:
    kind, _, resource = name.rpartition(".")
    return resource in _amounts(container, kind or "requests")


def _total(pod_spec: Mapping[str, Any], kind: str) -> Amounts:
    running = [_amounts(c, kind) for c in pod_spec.get("containers") or ()]
    sidecars: list[Amounts] = []
    peak: Amounts = {}
    for container in pod_spec.get("initContainers") or ():
        amounts = _amounts(container, kind)
        if container.get("restartPolicy") == "Always":
            sidecars.append(amounts)
            moment = _sum(sidecars)
        else:
            moment = _sum([*sidecars, amounts])
        peak = _most(peak, moment)
    return _most(_sum([*running, *sidecars]), peak)


def _amounts(container: Mapping[str, Any], kind: str) -> Amounts:
    resources = container.get("resources") or {}
    found = _parsed(resources.get(kind))
    if kind == "requests":
        # The apiserver defaults a missing request to its limit.
        return {**_parsed(resources.get("limits")), **found}
    return found


def _pod_level(pod_spec: Mapping[str, Any], requests: Amounts) -> dict[str, Amounts]:
    """What the pod as a whole states; a request it leaves out is its containers', or its limit."""
    stated = {
        kind: {
            name: amount
            for name, amount in _parsed((pod_spec.get("resources") or {}).get(kind)).items()
            if _at_pod_level(name)
        }
        for kind in ("requests", "limits")
    }
    for name, limit in stated["limits"].items():
        stated["requests"].setdefault(name, requests.get(name, limit))
    return stated


def _at_pod_level(name: str) -> bool:
    return name in ("cpu", "memory") or name.startswith("hugepages-")


def _has_pod_level(pod_spec: Mapping[str, Any]) -> bool:
    resources = pod_spec.get("resources") or {}
    return any(
        _at_pod_level(name) for kind in ("requests", "limits") for name in resources.get(kind) or ()
    )


def _parsed(raw: Mapping[str, Any] | None) -> Amounts:
    return {name: parse_quantity(value) for name, value in (raw or {}).items()}


def _sum(parts: Iterable[Amounts]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total


def _most(a: Amounts, b: Amounts) -> Amounts:
    return {
        name: max(a.get(name, Decimal(0)), b.get(name, Decimal(0))) for name in a.keys() | b.keys()
    }
