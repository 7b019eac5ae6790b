"""Who is admitted next: pure planning over one namespace's quotas.

Higher priority first, then age, then name. Backfill never delays whoever is ahead: one that waits
keeps all of each resource that it is short of, and its own amount of every other one. Those behind
share what is left, so that it goes in at the very moment when what it is short of is freed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from tidegate.api.quantity import format_quantity, parse_quantity
from tidegate.api.strategy import WaitingFor
from tidegate.core.demand import MUST_BE_STATED


@dataclass(frozen=True)
class Quota:
    """One ResourceQuota, in base units. What `used` doesn't name was not counted yet."""

    name: str
    hard: Mapping[str, Decimal]
    used: Mapping[str, Decimal]


@dataclass(frozen=True)
class Pending:
    """A strategy without a pod. `quotas` names those that count its pod.

    `unstated` (core.demand) says which containers leave out what a quota may insist on.
    """

    name: str
    priority: int
    created: datetime
    demand: Mapping[str, Decimal]
    quotas: frozenset[str]
    unstated: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Snapshot:
    """`used` of the quotas includes every pod that exists: the apiserver charges at creation."""

    quotas: Sequence[Quota]
    pending: Sequence[Pending]


@dataclass(frozen=True)
class Action:
    """Admit: create the pod now. Wait: not yet. Exceeds, Lacks: not ever as things are."""

    name: str
    kind: Literal["Admit", "Wait", "Exceeds", "Lacks"]
    position: int = 0
    waiting_for: tuple[WaitingFor, ...] = ()
    message: str = ""


@dataclass
class _Room:
    free: dict[tuple[str, str], Decimal] = field(default_factory=dict)
    # Resources that somebody ahead is short of: they are not to be taken by those behind.
    kept: set[tuple[str, str]] = field(default_factory=set)
    # Resources of a new quota that its controller has not counted: the apiserver refuses all pods.
    uncounted: set[tuple[str, str]] = field(default_factory=set)


def plan(snapshot: Snapshot) -> tuple[Action, ...]:
    """What to do about each pending strategy, in queue order. Same snapshot, same plan."""
    room = _Room()
    for quota in snapshot.quotas:
        for resource, hard in quota.hard.items():
            if resource in quota.used:
                room.free[quota.name, resource] = hard - quota.used[resource]
            else:
                room.free[quota.name, resource] = Decimal(0)
                room.uncounted.add((quota.name, resource))
    order = sorted(snapshot.pending, key=lambda p: (-p.priority, p.created, p.name))
    actions: list[Action] = []
    position = 0
    for pending in order:
        hopeless = _hopeless(snapshot.quotas, pending)
        action = hopeless or _place(snapshot.quotas, pending, room, position + 1)
        if action.kind != "Admit":
            position += 1
            action = Action(action.name, action.kind, position, action.waiting_for, action.message)
        actions.append(action)
    return tuple(actions)


def _hopeless(quotas: Sequence[Quota], pending: Pending) -> Action | None:
    """Exceeds or Lacks, when no wait would help. Such a one holds nobody up."""
    for quota in quotas:
        if quota.name not in pending.quotas:
            continue
        for resource, hard in quota.hard.items():
            asked = pending.demand.get(resource)
            if asked is None and resource in MUST_BE_STATED:
                return Action(pending.name, "Lacks", message=_lacks(quota.name, resource, pending))
            if asked is not None and asked > hard:
                short = format_quantity(asked - hard, resource)
                return Action(
                    pending.name, "Exceeds",
                    waiting_for=(WaitingFor(resource=resource, quota=quota.name, short=short),),
                    message=f"asks for {format_quantity(asked, resource)} {resource}; quota "
                    f"{quota.name} allows {format_quantity(hard, resource)} in all: lower the "
                    "request or raise the quota",
                )  # fmt: skip
    return None


def _lacks(quota: str, resource: str, pending: Pending) -> str:
    kind, _, name = resource.rpartition(".")
    field_name = f"resources.{kind or 'requests'}.{name}"
    without = pending.unstated.get(resource, ())
    found = f"not stated by {', '.join(without)}" if without else "found one that does not"
    return f"quota {quota} counts {resource}: expected {field_name} in every container, {found}"


def _place(quotas: Sequence[Quota], pending: Pending, room: _Room, position: int) -> Action:
    taken = {
        (quota.name, resource): amount
        for quota in quotas
        if quota.name in pending.quotas
        for resource in quota.hard
        if (amount := pending.demand.get(resource, Decimal(0))) > 0
    }
    short = {key: amount - room.free[key] for key, amount in taken.items()
             if amount > room.free[key]}  # fmt: skip
    behind = taken.keys() & room.kept
    for key, amount in taken.items():
        if key not in short:
            room.free[key] -= amount  # taken, or set aside for when this one goes in
    if not short and not behind:
        return Action(pending.name, "Admit")
    room.kept |= short.keys()
    waiting = tuple(
        WaitingFor(
            resource=resource,
            quota=quota,
            short=format_quantity(short.get((quota, resource), Decimal(0)), resource),
        )
        for quota, resource in sorted(short.keys() | behind)
    )
    words = ", ".join(_words(w, (w.quota, w.resource), short, room) for w in waiting)
    return Action(pending.name, "Wait", position, waiting, f"short of {words}")


def _words(
    w: WaitingFor, key: tuple[str, str], short: Mapping[tuple[str, str], Decimal], room: _Room
) -> str:
    if key in room.uncounted:
        return f"{w.resource} of quota {w.quota}, which is not counted yet"
    if key in short:
        return f"{w.short} {w.resource} of quota {w.quota}"
    return f"{w.resource} of quota {w.quota}, kept for those ahead"


def quota(obj: Mapping[str, Any]) -> Quota:
    """A ResourceQuota object. Raises ValueError for an amount that can't be read.

    `status.hard` is enforced now and `spec.hard` soon: the smaller counts, so that a pod is created
    neither before the one nor in spite of the other.
    """
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    hard = {name: parse_quantity(amount) for name, amount in (spec.get("hard") or {}).items()}
    for name, amount in (status.get("hard") or {}).items():
        if name in hard:
            hard[name] = min(hard[name], parse_quantity(amount))
    used = {name: parse_quantity(amount) for name, amount in (status.get("used") or {}).items()}
    return Quota(name=obj["metadata"]["name"], hard=hard, used=used)


def applies(quota_spec: Mapping[str, Any], pod_spec: Mapping[str, Any]) -> bool:
    """Whether a quota's scopes select a pod, as the apiserver decides it."""
    scopes = [{"scopeName": s, "operator": "Exists"} for s in quota_spec.get("scopes") or ()]
    selector = (quota_spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_scope(e, pod_spec) for e in [*scopes, *selector])


def _scope(expression: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    values = expression.get("values") or ()
    name = pod.get("priorityClassName")
    match expression.get("scopeName"), expression.get("operator"):
        case "Terminating", _:
            return pod.get("activeDeadlineSeconds") is not None
        case "NotTerminating", _:
            return pod.get("activeDeadlineSeconds") is None
        case "BestEffort", _:
            return _best_effort(pod)
        case "NotBestEffort", _:
            return not _best_effort(pod)
        case "PriorityClass", "In":
            return name in values
        case "PriorityClass", "NotIn":
            return name not in values
        case "PriorityClass", "DoesNotExist":
            return not name
        case "PriorityClass", _:
            return bool(name)
        case "CrossNamespacePodAffinity", _:
            return _other_namespaces(pod)
        case _:
            return False


def _best_effort(pod: Mapping[str, Any]) -> bool:
    """QoS class BestEffort: nobody asks for cpu or memory; the pod's own word replaces the sum."""
    level = pod.get("resources")
    asking = [level] if level is not None else [
        container.get("resources") or {}
        for container in [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
    ]  # fmt: skip
    return not any(
        parse_quantity((resources.get(kind) or {}).get(name, 0)) > 0
        for resources in asking
        for kind in ("requests", "limits")
        for name in ("cpu", "memory")
    )


def _other_namespaces(pod: Mapping[str, Any]) -> bool:
    """Whether an affinity term of the pod looks beyond its own namespace."""
    terms: list[Mapping[str, Any]] = []
    for kind in ("podAffinity", "podAntiAffinity"):
        affinity = (pod.get("affinity") or {}).get(kind) or {}
        terms += affinity.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        preferred = affinity.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        terms += (weighted.get("podAffinityTerm") or {} for weighted in preferred)
    return any(
        term.get("namespaces") or term.get("namespaceSelector") is not None for term in terms
    )
