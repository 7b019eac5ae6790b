"""Bad input ends in a clear condition, never in a traceback loop or an open gate."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from desk import Desk, wait_for
from install import NAMESPACE, Installed

from .conftest import DECLARED_GATE, example, gate


@pytest.fixture(autouse=True)
def no_traceback(installed: Installed) -> Iterator[None]:
    """No operator pod logs an exception while the test runs."""
    yield
    for pod in installed.operators():
        logged = installed.kubectl("logs", "-n", NAMESPACE, pod, "--since=60s")
        assert "Traceback" not in logged, logged[-3000:]


def apply_to_new_namespace(desk: Desk, *docs: dict[str, Any]) -> None:
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": desk.namespace}}
    desk.apply(namespace, *docs)


def condition(status: dict[str, Any], kind: str) -> dict[str, Any]:
    return next((c for c in status.get("conditions", ()) if c["type"] == kind), {})


def test_gate_that_selects_nothing_says_so_and_stays_shut(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    apply_to_new_namespace(
        desk,
        gate(strategies={"matchLabels": {"desk": "nobody"}}),
    )
    found = wait_for(
        "the gate says that it selects nothing",
        lambda: condition(desk.gate_status(), "StrategiesSelected"),
    )
    assert (found["status"], found["reason"]) == ("False", "NoStrategies")
    status = desk.gate_status()
    assert (status["state"], status["allocationPercent"]) == ("Calibrating", 0)


def test_live_strategy_without_a_gate_is_halted_and_says_why(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    desk.open(strategies=1, gate=gate(strategies={"matchLabels": {"desk": "nobody"}}))
    desk.wait_phase("Running", count=1)
    name = next(iter(desk.phases()))
    permit = wait_for(
        "the permit is known",
        lambda: (
            (p := desk.status("strategy", name).get("permit")) and p["reason"] == "NoGate" and p
        ),
    )
    assert permit["state"] == "Halted"
    assert desk.live_orders() == 0


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("image", "", "image"),  # the apiserver refuses it
        ("name", "tidegate-guard", "tidegate-guard"),  # the operator does: the name is reserved
    ],
)
def test_refused_template_fails_and_names_what_is_wrong(
    make_desk: Callable[..., Desk], field: str, value: str, said: str
) -> None:
    desk = make_desk()
    strategy = example("30-strategies.yaml", kind="Strategy")
    strategy["metadata"]["name"] = "refused"
    strategy["spec"]["template"]["spec"]["containers"][0][field] = value
    apply_to_new_namespace(desk, strategy)
    found = wait_for(
        "the strategy says that its template was refused",
        lambda: (
            (c := condition(desk.status("strategy", "refused"), "Admitted"))
            and c["reason"] == "TemplateRefused"
            and c
        ),
    )
    assert said in found["message"]
    assert desk.status("strategy", "refused")["phase"] == "Failed"


def test_strategy_that_can_never_fit_says_exceeds_quota(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    strategy = example("30-strategies.yaml", kind="Strategy")
    strategy["metadata"]["name"] = "huge"
    container = strategy["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {
        "requests": {"cpu": "64", "memory": "64Mi"},
        "limits": {"cpu": "64", "memory": "64Mi"},
    }
    apply_to_new_namespace(
        desk,
        example("10-quota.yaml", kind="ResourceQuota"),
        strategy,
    )
    found = wait_for(
        "the strategy says that it can never fit",
        lambda: (
            (c := condition(desk.status("strategy", "huge"), "QuotaReserved"))
            and c["reason"] == "ExceedsQuota"
            and c
        ),
    )
    assert "cpu" in found["message"]


def test_quota_deleted_under_way_lets_the_queue_in(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    strategy = example("30-strategies.yaml", kind="Strategy")
    quota = example("10-quota.yaml", kind="ResourceQuota")
    quota["spec"]["hard"] = {"pods": "0"}
    apply_to_new_namespace(desk, quota)
    wait_for(
        "the quota counts", lambda: desk.get("resourcequota", quota["metadata"]["name"])["status"]
    )
    desk.apply(strategy, DECLARED_GATE)
    name = strategy["metadata"]["name"]
    wait_for("it is queued", lambda: desk.status("strategy", name).get("phase") == "Queued")
    desk.kubectl("delete", "resourcequota", "--all", "-n", desk.namespace)
    wait_for(
        "it is admitted",
        lambda: desk.status("strategy", name).get("phase") in ("Admitted", "Running", "Stalled"),
    )
