"""Phases, conditions and what to do with the pod, named after what a user sees."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.api.strategy import StrategySpec, StrategyStatus, WaitingFor
from tidegate.api.wire import Evidence, PermitEvidence
from tidegate.core.admission import Action
from tidegate.core.strategy import (
    Facts,
    PodAction,
    PodState,
    PodView,
    classify_pod,
    next_status,
    pod_action,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TEMPLATE = {"spec": {"containers": [{"name": "a"}]}}
SPEC = StrategySpec(mode="Live", template=TEMPLATE)


def pod(state: PodState, **kwargs: str) -> PodView:
    return PodView("s", state, "h", **kwargs)


def evidence(state: Any = "Active", step_age: float | None = 0.1, reason: str = "") -> Evidence:
    allocation = 0 if state == "Halted" else 50
    permit = PermitEvidence(state=state, allocation_percent=allocation, reason=reason)
    return Evidence("s", "boot", 1, permit, step_age=step_age)


def after(
    facts: Facts, *, spec: StrategySpec = SPEC, status: StrategyStatus | None = None
) -> StrategyStatus:
    return next_status(spec, status or StrategyStatus(), facts, generation=1, now=NOW)


def said(status: StrategyStatus, kind: str) -> tuple[str, str]:
    found = next(c for c in status.conditions if c.type == kind)
    return found.status, found.reason


def test_waiting_for_quota_is_queued_with_position_and_what_is_short() -> None:
    short = (WaitingFor(resource="requests.cpu", quota="desk-a", short="200m"),)
    status = after(Facts(action=Action("s", "Wait", 2, short, "short of 200m")))
    assert status.phase == "Queued"
    assert status.queue is not None
    assert (status.queue.position, status.queue.waiting_for) == (2, short)
    assert said(status, "QuotaReserved") == ("False", "WaitingForQuota")


def test_one_that_can_never_fit_is_not_said_to_wait() -> None:
    status = after(Facts(action=Action("s", "Exceeds", 1, (), "asks for 64")))
    assert said(status, "QuotaReserved") == ("False", "ExceedsQuota")


def test_a_ready_pod_with_fresh_evidence_trades_at_its_permit() -> None:
    facts = Facts(pod=pod(PodState.READY), evidence=evidence(), evidence_age=0.2, gates=("g",))
    status = after(facts)
    assert status.phase == "Running"
    assert status.permit is not None
    assert (status.permit.state, status.permit.allocation_percent) == ("Active", 50)
    assert said(status, "Trading") == ("True", "Active")
    assert said(status, "Progressing") == ("True", "Stepping")


@pytest.mark.parametrize("age", [None, 5.1, 1e9])
def test_without_fresh_evidence_the_permit_is_halted_unknown(age: float | None) -> None:
    said_so = evidence() if age is not None else None
    status = after(Facts(pod=pod(PodState.READY), evidence=said_so, evidence_age=age))
    assert status.permit is not None
    assert (status.permit.state, status.permit.reason) == ("Halted", "Unknown")
    assert said(status, "Trading") == ("False", "Unknown")


def test_no_step_within_the_deadline_is_stalled() -> None:
    facts = Facts(pod=pod(PodState.READY), evidence=evidence(step_age=31.0), evidence_age=0.1)
    assert after(facts).phase == "Stalled"
    assert said(after(facts), "Progressing") == ("False", "Stalled")


def test_silence_from_the_start_is_stalled_after_the_deadline_too() -> None:
    started = StrategyStatus(started_at=NOW - timedelta(seconds=31), phase="Running")
    status = after(Facts(pod=pod(PodState.READY)), status=started)
    assert status.phase == "Stalled"


def test_what_the_kubelet_complains_of_is_in_the_condition() -> None:
    view = pod(PodState.PENDING, reason="ImagePullBackOff", message="a: no such image")
    assert said(after(Facts(pod=view)), "PodReady") == ("False", "ImagePullBackOff")


def test_a_refused_template_fails_in_the_apiserver_s_words() -> None:
    status = after(Facts(refused="spec.containers[0].image: Required value"))
    assert status.phase == "Failed"
    (admitted,) = [c for c in status.conditions if c.type == "Admitted"]
    assert admitted.reason == "TemplateRefused"
    assert "Required value" in admitted.message


def test_suspend_says_so_and_deletes_the_pod() -> None:
    suspended = StrategySpec(mode="Live", suspend=True, template=TEMPLATE)
    running = pod(PodState.READY)
    assert after(Facts(pod=running), spec=suspended).phase == "Suspended"
    action = pod_action(suspended, StrategyStatus(), running, wanted_hash="h")
    assert action is PodAction.DELETE


@pytest.mark.parametrize(
    ("view", "action"),
    [
        (None, PodAction.CREATE),
        (pod(PodState.READY), PodAction.KEEP),
        (pod(PodState.FAILED), PodAction.KEEP),
        (pod(PodState.SUCCEEDED), PodAction.KEEP),
        (pod(PodState.LOST), PodAction.DELETE),
        (pod(PodState.TERMINATING), PodAction.KEEP),
        (PodView("s", PodState.READY, "other"), PodAction.DELETE),
    ],
)
def test_what_becomes_of_a_pod(view: PodView | None, action: PodAction) -> None:
    assert pod_action(SPEC, StrategyStatus(), view, wanted_hash="h") is action


@pytest.mark.parametrize(
    ("status", "state", "reason"),
    [
        ({"phase": "Failed", "reason": "Evicted"}, PodState.LOST, "Evicted"),
        ({"phase": "Failed"}, PodState.FAILED, "PodFailed"),
        ({"phase": "Succeeded"}, PodState.SUCCEEDED, ""),
        ({}, PodState.PENDING, "PodPending"),
        (
            {
                "phase": "Running",
                "containerStatuses": [
                    {"name": "a", "state": {"waiting": {"reason": "CrashLoopBackOff"}}}
                ],
            },
            PodState.RUNNING,
            "CrashLoopBackOff",
        ),
        (
            {
                "phase": "Failed",
                "containerStatuses": [
                    {"name": "a", "state": {"terminated": {"exitCode": 3, "reason": "Error"}}}
                ],
            },
            PodState.FAILED,
            "Error",
        ),
    ],
)
def test_pods_are_classified(status: dict[str, Any], state: PodState, reason: str) -> None:
    view = classify_pod({"metadata": {"name": "s"}, "status": status})
    assert (view.state, view.reason) == (state, reason)


views = st.none() | st.builds(pod, st.sampled_from(PodState))
actions = st.none() | st.builds(
    Action, st.just("s"), st.sampled_from(["Admit", "Wait", "Exceeds", "Lacks"]), st.integers(0, 3)
)
facts = st.builds(
    Facts,
    action=actions,
    pod=views,
    evidence=st.none() | st.builds(evidence, st.sampled_from(["Active", "Halted"]),
                                   st.none() | st.floats(0, 100)),
    evidence_age=st.none() | st.floats(0, 20),
    refused=st.sampled_from(["", "no"]),
)  # fmt: skip


@given(facts, st.booleans(), st.sampled_from(["Live", "Paper"]))
def test_status_is_total_idempotent_and_never_claims_trading_without_fresh_evidence(
    seen: Facts, suspend: bool, mode: Any
) -> None:
    spec = StrategySpec(mode=mode, suspend=suspend, template=TEMPLATE)
    once = after(seen, spec=spec)
    assert next_status(spec, once, seen, generation=1, now=NOW) == once
    trading, _ = said(once, "Trading")
    if trading == "True":
        assert seen.evidence is not None
        assert seen.evidence_age is not None
        assert seen.evidence_age <= 5
        assert mode == "Live"
