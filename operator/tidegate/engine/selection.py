"""Who is governed by what: gates, strategies and pods of the cache brought together."""

from typing import Any

from pydantic import ValidationError

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus
from tidegate.api.meta import LABEL_STRATEGY
from tidegate.api.strategy import StrategySpec, StrategyStatus
from tidegate.core.selector import matches
from tidegate.engine.cache import Cache, Object
from tidegate.evidence.guards import Target
from tidegate.kube.api import DRIFTGATES, PODS, STRATEGIES
from tidegate.kube.pod import GUARD


def first_error(error: ValidationError) -> str:
    """A pydantic error as one readable line: field, expected, found."""
    detail = error.errors()[0]
    where = ".".join(str(part) for part in detail["loc"])
    return f"spec.{where}: {detail['msg']}, was {str(detail['input'])[:80]!r}"


def gate_spec(obj: Object) -> DriftGateSpec:
    return DriftGateSpec.model_validate(obj.get("spec") or {})


def gate_status(obj: Object) -> DriftGateStatus:
    """The stored status; one that can't be read counts as none, which is closed."""
    try:
        return DriftGateStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return DriftGateStatus()


def strategy_spec(obj: Object) -> StrategySpec:
    return StrategySpec.model_validate(obj.get("spec") or {})


def strategy_status(obj: Object) -> StrategyStatus:
    try:
        return StrategyStatus.model_validate(obj.get("status") or {})
    except ValidationError:
        return StrategyStatus()


def labels(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def selected(cache: Cache, namespace: str, spec: DriftGateSpec) -> list[Object]:
    """The Strategies that a gate selects."""
    return [
        strategy
        for strategy in cache.of(STRATEGIES, namespace)
        if matches(spec.strategies, labels(strategy))
    ]


def governing(cache: Cache, strategy: Object) -> tuple[str, ...]:
    """Names of the gates that select a strategy, sorted."""
    names = []
    for gate in cache.of(DRIFTGATES, strategy["metadata"]["namespace"]):
        try:
            if matches(gate_spec(gate).strategies, labels(strategy)):
                names.append(gate["metadata"]["name"])
        except ValidationError:
            # A gate that can't be read may have meant this strategy: it counts, and is closed.
            names.append(gate["metadata"]["name"])
    return tuple(sorted(names))


def _guard(pod: Object) -> dict[str, Any] | None:
    """The guard's container status in a pod that is neither ended nor on its way out."""
    status = pod.get("status") or {}
    if pod["metadata"].get("deletionTimestamp") or status.get("phase") in ("Succeeded", "Failed"):
        return None
    listed = status.get("initContainerStatuses") or ()
    return next((c for c in listed if c.get("name") == GUARD), None)


def _running(guard: dict[str, Any]) -> bool:
    return bool((guard.get("state") or {}).get("running"))


def guard_running(pod: Object) -> bool:
    """Whether the pod's guard runs and can be reached."""
    guard = _guard(pod)
    return guard is not None and bool(pod["status"].get("podIP")) and _running(guard)


def has_guard_ever(pod: Object) -> bool:
    """Whether the guard was started at least once: a crashed one is still expected to speak."""
    guard = _guard(pod)
    return guard is not None and (
        _running(guard) or guard.get("restartCount", 0) > 0 or bool(guard.get("started"))
    )


def target(pod: Object) -> Target | None:
    """Where to read a pod's evidence, if its guard runs."""
    if not guard_running(pod):
        return None
    meta = pod["metadata"]
    return Target(
        uid=meta["uid"],
        namespace=meta["namespace"],
        strategy=labels(pod).get(LABEL_STRATEGY, ""),
        address=pod["status"]["podIP"],
    )


def pod_of(cache: Cache, strategy: Object) -> Object | None:
    """The pod of a strategy: it bears the strategy's name."""
    meta = strategy["metadata"]
    return cache.get(PODS, meta["namespace"], meta["name"])
