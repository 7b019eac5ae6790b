"""spec.override: judged once, when first seen, and never valid again after it ended."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tidegate.api.driftgate import (
    DriftGateSpec,
    DriftGateStatus,
    GateState,
    Override,
    OverrideStatus,
)

LONGEST = 24 * 3600.0
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Ended = Literal["", "OverrideExpired", "OverrideRemoved"]


def seconds_between(earlier: datetime, later: datetime) -> float:
    """`later - earlier`; a time without a zone is UTC."""
    return (_aware(later) - _aware(earlier)).total_seconds()


def _aware(time: datetime) -> datetime:
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


def _text(time: datetime) -> str:
    # In the zone it was written in: conversion fails at the ends of the calendar.
    return _aware(time).isoformat(sep=" ", timespec="seconds")


def digest(override: Override) -> str:
    """Names one override: any change of any field makes it another."""
    expires = seconds_between(_EPOCH, override.expires_at)
    text = "\0".join((override.state, override.reason, override.by, f"{expires:.6f}"))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()


@dataclass(frozen=True, slots=True)
class Ruling:
    """What becomes of the override now.

    record: what the status remembers of it. active: it is accepted and not over. starts: it is
    active and the gate has yet to follow it. ended: why the one that was in force no longer is.
    resume: the state from before the one that starts, is in force or ended.
    """

    record: OverrideStatus | None
    active: bool = False
    starts: bool = False
    ended: Ended = ""
    resume: GateState | None = None


def held(status: DriftGateStatus) -> OverrideStatus | None:
    """The override that the gate follows, as far as the status knows."""
    found = status.override
    return found if found and found.accepted and found.resume_state else None


def resume_state(status: DriftGateStatus) -> GateState | None:
    """The state to remember when an override begins now.

    An override Open after another keeps the state from before the first: extending it must not make
    a suspended gate pass for an open one. After one that is Suspended, that is the state.
    """
    following = held(status)
    return following.resume_state if following and status.state == "Open" else status.state


def rule(spec: DriftGateSpec, status: DriftGateStatus, now: datetime) -> Ruling:
    """Judge spec.override at `now`."""
    override, known, following = spec.override, status.override, held(status)
    resume = following.resume_state if following else None
    if override is None:
        return Ruling(None, ended="OverrideRemoved" if following else "", resume=resume)
    if status.state == "Stopped" or spec.emergency_stop is not None:
        following = None
    name = digest(override)
    if known is None or known.digest != name:
        record = _judge(override, name, now)
        if record.accepted and following and _is_adopted(status, override):
            kept = record.model_copy(update={"resume_state": following.resume_state})
            record = _unless_stopped(spec, status, kept)
            return Ruling(record, active=record.accepted, resume=resume)
    elif known.accepted and seconds_between(now, override.expires_at) <= 0:
        record = _refused(
            name, "Expired", f"ended at {_text(override.expires_at)}; remove spec.override"
        )
        return Ruling(record, ended="OverrideExpired" if following else "", resume=resume)
    else:
        record = known
    record = _unless_stopped(spec, status, record)
    if not record.accepted:
        return Ruling(record, ended="OverrideRemoved" if following else "", resume=resume)
    starts = record.resume_state is None or status.state != override.state
    if starts:
        resume = resume_state(status)
    return Ruling(record, active=True, starts=starts, resume=resume)


def _judge(override: Override, name: str, now: datetime) -> OverrideStatus:
    left = seconds_between(now, override.expires_at)
    expires = _text(override.expires_at)
    if left <= 0:
        return _refused(
            name,
            "Expired",
            f"spec.override.expiresAt {expires} was past when it was read at {_text(now)}: "
            "write a time within the next 24 hours",
        )
    if left > LONGEST:
        return _refused(
            name,
            "TooLong",
            f"spec.override.expiresAt {expires} was more than 24 hours away when it was read at "
            f"{_text(now)}: write a time within the next 24 hours",
        )
    return OverrideStatus(digest=name, accepted=True, reason="Accepted", message=override.reason)


def _refused(name: str, reason: str, message: str) -> OverrideStatus:
    return OverrideStatus(digest=name, accepted=False, reason=reason, message=message)


def _is_adopted(status: DriftGateStatus, override: Override) -> bool:
    """Whether the gate follows just this override already, known from its audit record alone."""
    return (
        status.override is not None
        and status.override.digest == ""
        and (status.state, status.reason, status.message)
        == (override.state, "Override", override.reason)
    )


def _unless_stopped(
    spec: DriftGateSpec, status: DriftGateStatus, record: OverrideStatus
) -> OverrideStatus:
    """An emergency stop ends every override Open for good; a Suspended one outlasts the stop."""
    stopped = status.state == "Stopped" or spec.emergency_stop is not None
    if not (stopped and record.accepted and spec.override):
        return record
    if spec.override.state == "Open":
        return _refused(
            record.digest,
            "Stopped",
            "an emergency stop outranks it; write a new override once the gate has resumed",
        )
    return record.model_copy(update={"resume_state": None})
