"""Phases, conditions and what to do with the pod, named after what a user sees."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.api.strategy import StrategySpec, StrategyStatus, WaitingFor
from tidegate.api.wire import Evidence, PermitEvidence
from tidegate.core.admission import Action
from tidegate.core.podview import PodState, PodView, classify_pod
from tidegate.core.strategy import Facts, PodAction, next_status, pod_action

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


def lived(*moments: tuple[float, Facts]) -> list[StrategyStatus]:
    """The status after each moment (seconds since the first), beginning with nothing."""
    status, seen = StrategyStatus(), []
    for seconds, facts in moments:
        now = NOW + timedelta(seconds=seconds)
        status = next_status(SPEC, status, facts, generation=1, now=now)
        seen.append(status)
    return seen


READY = Facts(pod=pod(PodState.READY))
STEPPING = Facts(pod=pod(PodState.READY), evidence=evidence(), evidence_age=0.1)
STEPLESS = Facts(pod=pod(PodState.READY), evidence=evidence(step_age=None), evidence_age=0.1)


def test_the_deadline_begins_when_the_pod_is_ready_not_when_it_was_queued() -> None:
    queued = Facts(action=Action("s", "Wait", 1, (), ""))
    starting = Facts(pod=pod(PodState.RUNNING))
    seen = lived((0, queued), (3600, starting), (3700, READY), (3729, READY), (3731, READY))
    assert [s.phase for s in seen] == ["Queued", "Admitted", "Running", "Running", "Stalled"]
    assert seen[-1].started_at == NOW + timedelta(seconds=3700)


@pytest.mark.parametrize("silence", [READY, STEPLESS], ids=["new leader", "new guard"])
def test_a_strategy_that_has_run_for_long_is_not_stalled_at_the_first_silence(
    silence: Facts,
) -> None:
    seen = lived((0, STEPPING), (3600, silence), (3629, silence), (3631, silence), (4000, silence))
    assert [s.phase for s in seen] == ["Running", "Running", "Running", "Stalled", "Stalled"]
    assert said(seen[1], "Progressing") == ("Unknown", "NoEvidence")
    assert lived((0, STEPPING), (3600, silence), (3700, silence), (3701, STEPPING))[-1].phase == (
        "Running"
    )


def test_evidence_that_came_late_counts_its_own_age() -> None:
    def late(age: float) -> Facts:
        return Facts(pod=pod(PodState.READY), evidence=evidence(step_age=0.1), evidence_age=age)

    assert [s.phase for s in lived((0, STEPPING), (9, late(9)), (31, late(31)))] == [
        "Running", "Running", "Stalled",
    ]  # fmt: skip


def test_time_alone_changes_no_status() -> None:
    seen = lived((0, STEPPING), (1, STEPPING), (60, STEPPING), (86400, STEPPING))
    assert len(set(seen)) == 1


def test_a_condition_s_time_moves_with_its_status_only() -> None:
    def times(status: StrategyStatus) -> dict[str, datetime]:
        return {c.type: c.last_transition_time for c in status.conditions}

    halted = Facts(
        pod=pod(PodState.READY), evidence=evidence("Halted", reason="Suspended"), evidence_age=0.1
    )
    first, second = lived((0, STEPPING), (10, halted))
    moved = {kind for kind, at in times(second).items() if at != times(first)[kind]}
    assert moved == {"Trading"}


def test_a_finished_strategy_is_not_run_again_when_its_pod_is_collected() -> None:
    ended, gone = lived((0, Facts(pod=pod(PodState.SUCCEEDED))), (10, Facts()))
    assert (ended.phase, gone.phase) == ("Finished", "Finished")
    again = pod_action(SPEC, gone, None, wanted_hash="h", generation=1)
    changed = pod_action(SPEC, gone, None, wanted_hash="h", generation=2)
    assert (again, changed) == (PodAction.KEEP, PodAction.CREATE)
    assert next_status(SPEC, gone, Facts(), generation=2, now=NOW).phase == "Queued"


def test_a_failed_strategy_whose_pod_is_deleted_by_hand_is_queued_again() -> None:
    failed, gone = lived((0, Facts(pod=pod(PodState.FAILED))), (10, Facts()))
    assert (failed.phase, gone.phase) == ("Failed", "Queued")
    assert pod_action(SPEC, gone, None, wanted_hash="h", generation=1) is PodAction.CREATE


def test_an_evicted_pod_puts_its_strategy_back_into_the_queue() -> None:
    evicted = Facts(pod=pod(PodState.LOST, reason="Evicted", message="node was low on memory"))
    status = after(evicted)
    assert status.phase == "Queued"
    assert said(status, "PodReady") == ("False", "Evicted")


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


def test_a_pod_told_to_go_is_no_success_and_the_strategy_runs_again() -> None:
    running = after(Facts(pod=pod(PodState.READY), evidence=evidence(), evidence_age=0.1))
    going = after(Facts(pod=pod(PodState.TERMINATING)), status=running)
    assert going.phase == "Queued"
    assert pod_action(SPEC, going, None, wanted_hash="h", generation=1) is PodAction.CREATE


def test_a_finished_strategy_runs_again_only_when_its_spec_changed() -> None:
    finished = after(Facts(pod=pod(PodState.SUCCEEDED)))
    collected = after(Facts(pod=pod(PodState.TERMINATING)), status=finished)
    assert (finished.phase, collected.phase) == ("Finished", "Finished")
    assert pod_action(SPEC, collected, None, wanted_hash="h", generation=1) is PodAction.KEEP
    changed = after(Facts(pod=pod(PodState.SUCCEEDED), outdated=True), status=finished)
    assert changed.phase == "Queued"
    assert pod_action(SPEC, changed, None, wanted_hash="new", generation=1) is PodAction.CREATE


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
        # What an eviction leaves of a strategy that ends politely.
        ({"phase": "Succeeded", "deleted": True}, PodState.TERMINATING, "Terminating"),
        ({"phase": "Failed", "deleted": True}, PodState.TERMINATING, "Terminating"),
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
    meta = {"name": "s"} | ({"deletionTimestamp": "x"} if status.pop("deleted", False) else {})
    view = classify_pod({"metadata": meta, "status": status})
    assert (view.state, view.reason) == (state, reason)


def test_a_failed_pod_that_is_being_deleted_is_not_deleted_again() -> None:
    view = classify_pod(
        {
            "metadata": {"name": "s", "deletionTimestamp": "2026-01-01T00:00:00Z"},
            "status": {"phase": "Failed", "reason": "Evicted"},
        }
    )
    assert view.state is PodState.TERMINATING


def test_the_strategy_s_own_end_is_told_before_its_sidecar_s() -> None:
    def ended(name: str, code: int) -> dict[str, Any]:
        return {"name": name, "state": {"terminated": {"exitCode": code, "reason": "Error"}}}

    status = {
        "phase": "Failed",
        "initContainerStatuses": [ended("tidegate-guard", 137)],
        "containerStatuses": [ended("strategy", 3)],
    }
    meta = {"name": "s"} | ({"deletionTimestamp": "x"} if status.pop("deleted", False) else {})
    view = classify_pod({"metadata": meta, "status": status})
    assert view.message == "strategy exited with 3"


@pytest.mark.parametrize(
    ("waiting", "condition", "reason"),
    [
        ({"reason": "CreateContainerConfigError", "message": 'secret "k" not found'}, {},
         "CreateContainerConfigError"),
        ({"reason": "ImagePullBackOff", "message": "back-off"}, {}, "ImagePullBackOff"),
        ({"reason": "PodInitializing"}, {}, "PodPending"),
        (None, {"type": "PodScheduled", "status": "False", "message": "0/1 nodes"},
         "Unschedulable"),
    ],
)  # fmt: skip
def test_why_a_pod_does_not_start_is_named(
    waiting: dict[str, str] | None, condition: dict[str, str], reason: str
) -> None:
    status: dict[str, Any] = {"phase": "Pending"}
    if waiting:
        status["containerStatuses"] = [{"name": "a", "state": {"waiting": waiting}}]
    if condition:
        status["conditions"] = [condition]
    meta = {"name": "s"} | ({"deletionTimestamp": "x"} if status.pop("deleted", False) else {})
    view = classify_pod({"metadata": meta, "status": status})
    assert (view.state, view.reason) == (PodState.PENDING, reason)
    if waiting and "message" in waiting:
        assert waiting["message"] in view.message


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
