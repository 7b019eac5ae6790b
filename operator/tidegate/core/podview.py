"""A pod as far as a strategy's status depends on it. Pure, and total over what a pod can be."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from tidegate.api.meta import ANNOTATION_TEMPLATE_HASH

# Reasons for which a pod failed through no doing of its own: it is admitted anew.
_LOST = ("Evicted", "NodeLost", "Preempting", "Shutdown", "NodeShutdown", "Terminated")


class PodState(Enum):
    PENDING = "Pending"
    RUNNING = "Running"
    READY = "Ready"
    SUCCEEDED = "Succeeded"
    FAILED = "Failed"
    LOST = "Lost"
    TERMINATING = "Terminating"


@dataclass(frozen=True)
class PodView:
    """A pod as far as a strategy's status depends on it."""

    name: str
    state: PodState
    template_hash: str
    reason: str = ""
    message: str = ""


def classify_pod(pod: Mapping[str, Any]) -> PodView:
    """Total: any pod the apiserver can hold has a view."""
    meta, status = pod["metadata"], pod.get("status") or {}
    state, reason, message = _state(meta, status)
    hashed = (meta.get("annotations") or {}).get(ANNOTATION_TEMPLATE_HASH, "")
    return PodView(meta["name"], state, hashed, reason, message[:500])


def _state(meta: Mapping[str, Any], status: Mapping[str, Any]) -> tuple[PodState, str, str]:
    phase, reason = status.get("phase"), str(status.get("reason") or "")
    message = str(status.get("message") or "")
    # First of all: a strategy that is told to end exits with 0, and that is no success of its own.
    if meta.get("deletionTimestamp"):
        return PodState.TERMINATING, "Terminating", "the pod is being deleted"
    if phase == "Succeeded":
        return PodState.SUCCEEDED, reason, message
    if phase == "Failed":
        lost = reason in _LOST
        why, text = (reason, message) if reason else _terminated(status)
        return (PodState.LOST if lost else PodState.FAILED), why or "PodFailed", text
    conditions = {c["type"]: c for c in status.get("conditions") or ()}
    if (conditions.get("Ready") or {}).get("status") == "True":
        return PodState.READY, "", ""
    waiting = _waiting(status)
    if phase == "Running":
        return PodState.RUNNING, *(waiting or ("ContainersNotReady", "a container is not ready"))
    scheduled = conditions.get("PodScheduled") or {}
    if scheduled.get("status") == "False":
        return PodState.PENDING, "Unschedulable", str(scheduled.get("message") or "")
    return PodState.PENDING, *(waiting or ("PodPending", "the pod is starting"))


def _containers(status: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """In the order in which they start."""
    return [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]


def _waiting(status: Mapping[str, Any]) -> tuple[str, str] | None:
    """The first container that waits for more than its turn, by the kubelet's own reason."""
    for container in _containers(status):
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason")
        if reason and reason not in ("PodInitializing", "ContainerCreating"):
            return reason, f"{container['name']}: {waiting.get('message') or reason}"
    return None


def _terminated(status: Mapping[str, Any]) -> tuple[str, str]:
    # The strategy's own end explains more than that of the sidecars, which are ended after it.
    for container in reversed(_containers(status)):
        ended = (container.get("state") or {}).get("terminated") or {}
        if ended.get("exitCode"):
            reason = str(ended.get("reason") or "Error")
            return reason, f"{container['name']} exited with {ended['exitCode']}"
    return "", ""
