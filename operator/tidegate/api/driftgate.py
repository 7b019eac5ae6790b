"""DriftGate: what paper and live may differ by, and what happens when they differ by more."""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from tidegate.api.meta import (
    Condition,
    DecimalString,
    Model,
    Reason,
    Timestamp,
    Who,
    duration_field,
    rules,
)

Family = Literal["price", "volume", "latency", "market"]
GateState = Literal["Calibrating", "Open", "Suspended", "Recovering", "Stopped"]
OnFault = Literal["Suspend", "Hold", "Open"]


class Signal(Model):
    family: Family
    tolerance_bps: int = Field(ge=0, le=100_000, description="Drift that is accepted for good.")
    limit_bps: int = Field(ge=1, le=100_000, description="Recovery proves that drift is below.")

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("self.limitBps > self.toleranceBps", "limitBps must be greater than toleranceBps")
        )
    )


DEFAULT_SIGNALS = (
    Signal(family="price", tolerance_bps=5, limit_bps=100),
    Signal(family="volume", tolerance_bps=50, limit_bps=500),
    Signal(family="latency", tolerance_bps=500, limit_bps=2000),
    Signal(family="market", tolerance_bps=1000, limit_bps=5000),
)


class LabelSelectorRequirement(Model):
    key: str = Field(max_length=317)
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = Field(default=(), max_length=64)

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
                "In and NotIn need values, Exists and DoesNotExist take none",
            )
        )
    )


class LabelSelector(Model):
    """metav1.LabelSelector; an empty one selects every Strategy of the namespace."""

    match_labels: dict[str, str] = Field(default_factory=dict)
    match_expressions: tuple[LabelSelectorRequirement, ...] = Field(default=(), max_length=64)


class Detection(Model):
    false_alarms_per_million: DecimalString = Field(
        default="0.000001",
        description="False suspensions per million events at most; the threshold is 1e6 / this.",
        json_schema_extra=rules(
            (
                "double(self) > 0.0 && double(self) <= 10000.0",
                "must be greater than 0 and at most 10000",
            )
        ),
    )
    reference_events: int = Field(default=5000, ge=100, le=1_000_000)
    mode: Literal["Enforce", "Observe"] = "Enforce"


class DeclaredFamily(Model):
    """The healthy spread of one family, in basis points of its own unit."""

    scale_bps: DecimalString = Field(json_schema_extra=rules(("double(self) > 0.0", "must be > 0")))
    center_bps: str = Field(default="0", pattern=r"^-?[0-9]+(\.[0-9]+)?$", max_length=24)
    tick_bps: DecimalString = "0"


class Declared(Model):
    price: DeclaredFamily | None = None
    volume: DeclaredFamily | None = None
    latency: DeclaredFamily | None = None
    market: DeclaredFamily | None = None


class Learned(Model):
    """Learn from the first referenceEvents events, under the allocation of the first step."""


class Reference(Model):
    declared: Declared | None = None
    learned: Learned | None = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "has(self.declared) != has(self.learned)",
                "exactly one of declared and learned must be set",
            )
        )
    )


class OnFaultSpec(Model):
    no_data: OnFault = "Suspend"
    stale: OnFault = "Suspend"
    invalid: OnFault = "Suspend"
    control_plane_lost: Literal["Halt", "Hold"] = "Halt"


Step = Annotated[int, Field(ge=1, le=100)]


class Recovery(Model):
    mode: Literal["Auto", "RequireApproval"] = "Auto"
    clear_for: str = duration_field("5s", at_least="100ms")
    steps: tuple[Step, ...] = Field(
        default=(10, 25, 50, 100),
        min_length=1,
        max_length=16,
        description="Allocation in percent, step by step.",
        json_schema_extra={
            **rules(
                ("self[size(self) - 1] == 100", "the last step must be 100"),
                (
                    "self.isSorted() && self.all(a, self.exists_one(b, a == b))",
                    "steps must ascend without repeats",
                ),
            )
        },
    )
    dwell: str = duration_field("5s", at_least="100ms")
    max_per_day: int = Field(default=3, ge=0, le=1000)


class Approval(Model):
    sequence: int = Field(ge=1, description="The transition that may go on: status.sequence.")
    by: Who


class Override(Model):
    """A person's word against the evidence; the operator refuses one of more than 24 hours."""

    state: Literal["Open", "Suspended"]
    reason: Reason
    by: Who
    expires_at: Timestamp


class EmergencyStop(Model):
    """Halts at once and stays latched: once cleared, an approval of its transition resumes."""

    reason: Reason
    by: Who


class DriftGateSpec(Model):
    strategies: LabelSelector = LabelSelector()
    signals: tuple[Signal, ...] = Field(
        default=DEFAULT_SIGNALS,
        min_length=1,
        max_length=4,
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["family"],
        },
    )
    detection: Detection = Detection()
    reference: Reference = Reference(learned=Learned())
    on_fault: OnFaultSpec = OnFaultSpec()
    stale_after: str = duration_field("2s", at_least="500ms", at_most="1h")
    permit_ttl: str = duration_field(
        "15s",
        at_least="3s",
        at_most="1h",
        alias="permitTTL",
        description="Guards halt this long after the last heartbeat they saw.",
    )
    recovery: Recovery = Recovery()
    approval: Approval | None = None
    override: Override | None = None
    emergency_stop: EmergencyStop | None = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            (
                "!has(self.reference.declared) || self.signals.all(s, "
                "(s.family != 'price' || has(self.reference.declared.price)) && "
                "(s.family != 'volume' || has(self.reference.declared.volume)) && "
                "(s.family != 'latency' || has(self.reference.declared.latency)) && "
                "(s.family != 'market' || has(self.reference.declared.market)))",
                "reference.declared needs an entry for the family of every signal",
            )
        )
    )


Figure = Annotated[str, Field(max_length=32)]


class SignalStatus(Model):
    """The worst strategy of one family."""

    family: Family
    score: Figure
    estimate_bps: Figure | None = None
    low_bps: Figure | None = None
    high_bps: Figure | None = None
    minimum_detectable_bps: Figure | None = None
    events: int = 0
    strategy: str = Field(default="", max_length=253)


class OverrideStatus(Model):
    """What became of spec.override: judged once, when it was first seen."""

    digest: str
    accepted: bool
    reason: str = ""
    message: str = ""
    resume_state: GateState | None = None


class DriftGateStatus(Model):
    observed_generation: int = 0
    state: GateState | None = None
    allocation_percent: int = Field(default=0, ge=0, le=100)
    drift_score: str = "0.00"
    signals: tuple[SignalStatus, ...] = ()
    selected: int = 0
    reason: str = ""
    message: str = ""
    sequence: int = 0
    record_hash: str = ""
    last_transition_time: Timestamp | None = None
    clear_since: Timestamp | None = None
    latched: bool = False
    recoveries_today: int = 0
    recovery_day: str = ""
    override: OverrideStatus | None = None
    conditions: tuple[Condition, ...] = ()
