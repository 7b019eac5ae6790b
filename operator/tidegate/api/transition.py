"""GateTransition: one record of the audit chain. Written once, never changed."""

from typing import Literal

from pydantic import Field

from tidegate.api.driftgate import SignalStatus
from tidegate.api.meta import Model, Timestamp

# A gate's life begins from nothing and ends in Deleted; neither is a state it can be in.
RecordedState = Literal[
    "None", "Calibrating", "Open", "Suspended", "Recovering", "Stopped", "Deleted"
]


class Times(Model):
    """observed: the evidence arrived; decided: the gate decided; written: sent to the apiserver."""

    observed: Timestamp
    decided: Timestamp
    written: Timestamp


class GateTransitionSpec(Model):
    gate: str = Field(min_length=1, max_length=230)
    gate_uid: str = Field(alias="gateUID", default="", max_length=64)
    sequence: int = Field(ge=1)
    from_state: RecordedState = Field(alias="from")
    to_state: RecordedState = Field(alias="to")
    from_allocation_percent: int = Field(ge=0, le=100)
    allocation_percent: int = Field(ge=0, le=100)
    reason: str = Field(max_length=128)
    message: str = Field(default="", max_length=4096)
    actor: str = Field(max_length=253, description="A person, or operator.")
    drift_score: str = Field(default="0.00", max_length=32)
    signals: tuple[SignalStatus, ...] = Field(default=(), max_length=4)
    strategy: str = Field(
        default="", max_length=253, description="The strategy whose evidence decided, if one."
    )
    times: Times
    previous_hash: str = Field(default="", max_length=64)
    hash: str = Field(min_length=64, max_length=64)
