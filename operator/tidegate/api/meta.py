"""What every custom resource shares: the base model, conditions and annotated field types."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from tidegate.api.quantity import DECIMAL_PATTERN, DURATION_PATTERN

GROUP = "tidegate.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

# Labels and annotations that users and tests rely on.
LABEL_STRATEGY = f"{GROUP}/strategy"
LABEL_GATE = f"{GROUP}/gate"
ANNOTATION_TEMPLATE_HASH = f"{GROUP}/template-hash"
ANNOTATION_ON_DELETE = f"{GROUP}/on-delete"
ON_DELETE_RELEASE = "release"

HEARTBEAT_LEASE = "tidegate-heartbeat"
LEADER_LEASE = "tidegate-leader"


class Model(BaseModel):
    """A frozen part of a custom resource: camelCase outside, snake_case inside."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore"
    )

    def dump(self) -> dict[str, Any]:
        """As the apiserver takes it: camelCase, without what is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rules(*pairs: tuple[str, str]) -> dict[str, Any]:
    """CEL rules for `json_schema_extra`: (rule, message) pairs."""
    return {"x-kubernetes-validations": [{"rule": rule, "message": text} for rule, text in pairs]}


def format_time(value: datetime) -> str:
    """RFC 3339 with microseconds, in UTC: the form of every timestamp we write."""
    utc = value.astimezone(UTC) if value.tzinfo is not None else value
    return utc.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Timestamp = Annotated[
    datetime,
    PlainSerializer(format_time, return_type=str),
    Field(json_schema_extra={"format": "date-time", "type": "string"}),
]


def duration_field(
    default: str,
    *,
    at_least: str,
    at_most: str = "24h",
    alias: str | None = None,
    description: str | None = None,
) -> Any:
    """A duration string with bounds that the apiserver checks."""
    rule = f"duration(self) >= duration('{at_least}') && duration(self) <= duration('{at_most}')"
    return Field(
        default=default,
        alias=alias,
        description=description,
        pattern=DURATION_PATTERN,
        max_length=16,
        json_schema_extra=rules((rule, f"must be a duration from {at_least} to {at_most}")),
    )


DecimalString = Annotated[str, Field(pattern=DECIMAL_PATTERN, max_length=24)]
Who = Annotated[str, Field(min_length=1, max_length=253, description="The person who asks.")]
Reason = Annotated[str, Field(min_length=1, max_length=1024, description="Why, for the audit.")]


class Condition(Model):
    """A Kubernetes condition, as metav1.Condition."""

    type: str = Field(max_length=316)
    status: Literal["True", "False", "Unknown"]
    reason: str = Field(min_length=1, max_length=1024)
    message: str = Field(default="", max_length=32768)
    observed_generation: int = 0
    last_transition_time: Timestamp


def set_condition(
    conditions: tuple[Condition, ...],
    *,
    type: str,  # noqa: A002 - the API's own word
    status: bool | None,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """`conditions` with one replaced or added; its time moves only when its status does."""
    word: Literal["True", "False", "Unknown"] = (
        "Unknown" if status is None else "True" if status else "False"
    )
    old = next((c for c in conditions if c.type == type), None)
    new = Condition(
        type=type,
        status=word,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=old.last_transition_time if old and old.status == word else now,
    )
    if old is None:
        return (*conditions, new)
    return tuple(new if c.type == type else c for c in conditions)
