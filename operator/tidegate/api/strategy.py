"""Strategy: one trading algorithm, run as one pod within the namespace's quotas."""

from typing import Any, Literal

from pydantic import Field

from tidegate.api.meta import Condition, Model, Timestamp, duration_field

Phase = Literal["Queued", "Admitted", "Running", "Stalled", "Finished", "Failed", "Suspended"]
PermitState = Literal["Active", "Reducing", "Halted"]

POD_TEMPLATE_SCHEMA: dict[str, Any] = {
    "type": "object",
    "x-kubernetes-preserve-unknown-fields": True,
    "required": ["spec"],
    "properties": {
        "spec": {
            "type": "object",
            "x-kubernetes-preserve-unknown-fields": True,
            "required": ["containers"],
            "properties": {
                "containers": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "object",
                        "x-kubernetes-preserve-unknown-fields": True,
                        "required": ["name"],
                        "properties": {"name": {"type": "string", "minLength": 1}},
                    },
                }
            },
        }
    },
}


class Limits(Model):
    progress_deadline: str = duration_field("30s", at_least="1s")


class StrategySpec(Model):
    mode: Literal["Paper", "Live"] = Field(
        default="Paper",
        description="Live also simulates every order on paper, so that fills come in pairs.",
    )
    priority: int = Field(default=0, ge=-1_000_000, le=1_000_000, description="Higher first.")
    suspend: bool = Field(default=False, description="true stops the pod and frees its quota.")
    limits: Limits = Limits()
    template: dict[str, Any] = Field(
        description="A PodTemplateSpec; the guard is added to it as a native sidecar.",
        json_schema_extra={"replace": POD_TEMPLATE_SCHEMA},
    )


class WaitingFor(Model):
    """One resource of one quota that is short for this strategy."""

    resource: str
    quota: str
    short: str


class Queue(Model):
    position: int = Field(ge=1)
    waiting_for: tuple[WaitingFor, ...] = ()


class OrphanedBy(Model):
    """A gate that governed this strategy and was deleted."""

    gate: str
    on_delete: Literal["Halt", "Release"] = "Halt"


class PermitStatus(Model):
    state: PermitState
    allocation_percent: int = Field(ge=0, le=100)
    gates: tuple[str, ...] = ()
    reason: str = ""


class StrategyStatus(Model):
    observed_generation: int = 0
    phase: Phase | None = None
    pod: str | None = None
    queue: Queue | None = None
    permit: PermitStatus | None = None
    orphaned_by: tuple[OrphanedBy, ...] = ()
    started_at: Timestamp | None = None
    conditions: tuple[Condition, ...] = ()
