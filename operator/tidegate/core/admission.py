"""Who is admitted next: pure planning over one namespace's quotas.

Higher priority first, then age, then name. Whoever waits keeps what it waits for: while a strategy
is short of a resource of a quota, nobody behind it is admitted that would take of that resource, so
backfill never delays it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from tidegate.api.quantity import format_quantity, parse_quantity
from tidegate.api.strategy import WaitingFor

BEST_EFFORT_RESOURCES = ("cpu", "memory")


@dataclass(frozen=True)
class Quota:
    """One ResourceQuota that applies, in base units."""

    name: str
    hard: Mapping[str, Decimal]
    used: Mapping[str, Decimal]


@dataclass(frozen=True)
class Pending:
    """A strategy without a pod. `quotas` names those that count its pod."""

    name: str
    priority: int
    created: datetime
    demand: Mapping[str, Decimal]
    quotas: frozenset[str]


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
    # Resources that somebody ahead waits for: they are not to be taken by those behind.
    kept: set[tuple[str, str]] = field(default_factory=set)


def plan(snapshot: Snapshot) -> tuple[Action, ...]:
    """What to do about each pending strategy, in queue order. Same snapshot, same plan."""
    room = _Room()
    for quota in snapshot.quotas:
        for resource, hard in quota.hard.items():
            used = quota.used.get(resource, Decimal(0))
            room.free[quota.name, resource] = hard - used
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
            if asked is None and _must_be_stated(resource):
                return Action(
                    pending.name, "Lacks",
                    message=f"quota {quota.name} counts {resource}; expected every container of "
                    f"spec.template to state it, found none that does",
                )  # fmt: skip
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


def _must_be_stated(resource: str) -> bool:
    base = resource.removeprefix("requests.").removeprefix("limits.")
    return base in BEST_EFFORT_RESOURCES


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
    behind = {key for key in taken if key in room.kept}
    if not short and not behind:
        for key, amount in taken.items():
            room.free[key] -= amount
        return Action(pending.name, "Admit")
    room.kept |= short.keys()
    waiting = tuple(
        WaitingFor(
            resource=resource,
            quota=quota,
            short=format_quantity(
                max(short.get((quota, resource), Decimal(0)), Decimal(0)), resource
            ),
        )
        for quota, resource in sorted(short.keys() | behind)
    )
    words = ", ".join(
        f"{w.short} {w.resource} of quota {w.quota}" if (w.quota, w.resource) in short
        else f"{w.resource} of quota {w.quota}, kept for those ahead"
        for w in waiting
    )  # fmt: skip
    return Action(pending.name, "Wait", position, waiting, f"short of {words}")


def quota(obj: Mapping[str, Any]) -> Quota:
    """A ResourceQuota object; `status.hard` is what is enforced, `spec.hard` what will be."""
    status = obj.get("status") or {}
    hard = {**(status.get("hard") or {}), **((obj.get("spec") or {}).get("hard") or {})}
    used = status.get("used") or {}
    return Quota(
        name=obj["metadata"]["name"],
        hard={k: parse_quantity(v) for k, v in hard.items()
              if k in ((obj.get("spec") or {}).get("hard") or {})},
        used={k: parse_quantity(v) for k, v in used.items()},
    )  # fmt: skip


def applies(quota_spec: Mapping[str, Any], pod_spec: Mapping[str, Any]) -> bool:
    """Whether a quota's scopes select a pod, as the apiserver decides it."""
    scopes = [{"scopeName": s, "operator": "Exists"} for s in quota_spec.get("scopes") or ()]
    selector = (quota_spec.get("scopeSelector") or {}).get("matchExpressions") or ()
    return all(_scope(e, pod_spec) for e in [*scopes, *selector])


def _scope(expression: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    values = expression.get("values") or ()
    terminating = pod.get("activeDeadlineSeconds") is not None
    best_effort = not any(
        (container.get("resources") or {}).get(kind)
        for container in [*(pod.get("containers") or ()), *(pod.get("initContainers") or ())]
        for kind in ("requests", "limits")
    )
    name = pod.get("priorityClassName")
    match expression.get("scopeName"), expression.get("operator"):
        case "Terminating", _:
            return terminating
        case "NotTerminating", _:
            return not terminating
        case "BestEffort", _:
            return best_effort
        case "NotBestEffort", _:
            return not best_effort
        case "PriorityClass", "In":
            return name in values
        case "PriorityClass", "NotIn":
            return name not in values
        case "PriorityClass", "DoesNotExist":
            return not name
        case "PriorityClass", _:
            return bool(name)
        case _:
            # An unknown scope counts: the apiserver has the last word when the pod is created.
            return True
