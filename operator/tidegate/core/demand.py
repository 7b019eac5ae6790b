"""What a pod costs in the currency of ResourceQuota."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from tidegate.api.quantity import parse_quantity

Amounts = dict[str, Decimal]


def pod_demand(pod_spec: Mapping[str, Any]) -> Amounts:
    """Resource names as a quota spells them, to amounts; `pods` and `count/pods` are 1.

    As Kubernetes counts (KEP-753): native sidecars add to the containers; each plain init container
    runs together with the sidecars started before it, and the largest such moment counts if it is
    more. Pod-level resources, where given, stand for the sum. Raises ValueError for a quantity that
    can't be read.
    """
    requests = _total(pod_spec, "requests")
    limits = _total(pod_spec, "limits")
    for name, amount in _parsed(pod_spec.get("overhead")).items():
        requests[name] = requests.get(name, Decimal(0)) + amount
        if name in limits:
            limits[name] += amount
    demand: Amounts = {"pods": Decimal(1), "count/pods": Decimal(1)}
    for name, amount in requests.items():
        demand[f"requests.{name}"] = amount
        if name in ("cpu", "memory", "ephemeral-storage"):
            demand[name] = amount
    for name, amount in limits.items():
        demand[f"limits.{name}"] = amount
    return demand


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
    total = _most(_sum([*running, *sidecars]), peak)
    return {**total, **_parsed((pod_spec.get("resources") or {}).get(kind))}


def _amounts(container: Mapping[str, Any], kind: str) -> Amounts:
    resources = container.get("resources") or {}
    found = _parsed(resources.get(kind))
    if kind == "requests":
        # The apiserver defaults a missing request to its limit.
        return {**_parsed(resources.get("limits")), **found}
    return found


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
