"""Parts die; orders stop, the gate never opens by accident, and no record is lost or doubled."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from cluster import faults, netns
from cluster.commands import run
from desk import Desk, wait_for
from install import NAMESPACE, Installed

from .conftest import gate, verify_chain

DENY_GATE_STATUS = """
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: e2e-deny-gate-status}
spec:
  failurePolicy: Fail
  matchConstraints:
    resourceRules:
    - {apiGroups: [tidegate.dev], apiVersions: [v1alpha1], operations: [UPDATE],
       resources: [driftgates/status]}
  validations: [{expression: "false", message: "refused by the test"}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {name: e2e-deny-gate-status}
spec: {policyName: e2e-deny-gate-status, validationActions: [Deny]}
"""


@pytest.fixture
def native(installed: Installed) -> Installed:
    if installed.provider.name != "native":
        pytest.skip("stops processes of the native cluster; this is another provider")
    return installed


@pytest.fixture
def no_gate_status(installed: Installed) -> Iterator[Callable[[], None]]:
    """Refuse every write of a gate's status until the returned function is called."""
    installed.kubectl("apply", "-f", "-", stdin=DENY_GATE_STATUS)

    def allow() -> None:
        installed.kubectl("delete", "-f", "-", "--ignore-not-found", stdin=DENY_GATE_STATUS)

    yield allow
    allow()


def test_guard_killed_halts_its_strategy_and_suspends_the_gate(
    desk: Desk, native: Installed
) -> None:
    victim = next(iter(desk.phases()))
    faults.kill_container(native.config, desk.namespace, victim, "tidegate-guard")
    suspended = desk.wait_state("Suspended", timeout=30)
    # Silence, or the new guard's own word: whichever the operator sees first.
    assert suspended["reason"] in ("EvidenceStale", "GuardRestarted")
    assert suspended["allocationPercent"] == 0
    desk.wait_state("Open", timeout=90)


def test_leader_killed_is_replaced_and_nothing_is_written_twice(
    desk: Desk, native: Installed
) -> None:
    old = native.leader()
    before = len(desk.chain())
    began = time.monotonic()
    faults.kill_container(native.config, NAMESPACE, old, "operator")
    wait_for(
        "another replica leads",
        lambda: native.leader() not in ("", old),
        timeout=20,
        every=0.1,
    )
    took = time.monotonic() - began
    # The bound is 6 s; a shared machine and polling through kubectl get some room.
    assert took < 9, f"leadership moved after {took:.1f} s"
    time.sleep(3)
    assert desk.gate_status()["state"] == "Open"
    assert len(verify_chain(desk)) == before


def test_leader_killed_between_record_and_status_is_finished_by_its_successor(
    make_desk: Callable[..., Desk], native: Installed, no_gate_status: Callable[[], None]
) -> None:
    no_gate_status()
    desk = make_desk()
    desk.open(strategies=1, gate=gate())
    desk.wait_state("Open", timeout=90)
    sequence = desk.gate_status()["sequence"]
    native.kubectl("apply", "-f", "-", stdin=DENY_GATE_STATUS)
    # Policies take effect a moment after they are stored.
    time.sleep(3)
    desk.patch_gate({"emergencyStop": {"reason": "mid-transition", "by": "e2e"}})
    wait_for("the record is written", lambda: len(desk.chain()) == sequence + 1, timeout=20)
    assert desk.gate_status()["sequence"] == sequence
    old = native.leader()
    faults.kill_container(native.config, NAMESPACE, old, "operator")
    no_gate_status()
    stopped = desk.wait_state("Stopped", timeout=60)
    assert stopped["sequence"] == sequence + 1
    desk.wait_no_orders()
    assert len(verify_chain(desk)) == sequence + 1


def test_both_operators_gone_stops_orders_within_the_permit_ttl(
    make_desk: Callable[..., Desk], installed: Installed
) -> None:
    desk = make_desk()
    desk.open(strategies=1, gate=gate(permitTTL="4s"))
    desk.wait_state("Open", timeout=90)
    scale = ("scale", "deployment", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=tidegate")
    installed.kubectl(*scale, "--replicas=0")
    try:
        desk.wait_no_orders(timeout=40)
        strategy = next(iter(desk.phases()))
        permit = desk.evidence(strategy)["permit"]
        assert (permit["state"], permit["reason"]) == ("Halted", "ControlPlaneLost")
    finally:
        installed.kubectl(*scale, "--replicas=2")
    installed.kubectl(
        "rollout", "status", "deployment", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=tidegate"
    )
    wait_for(
        "the permit is active again",
        lambda: desk.evidence(strategy)["permit"]["state"] == "Active",
        timeout=90,
    )


def test_apiserver_stopped_stops_orders_and_its_return_opens_nothing_by_accident(
    make_desk: Callable[..., Desk], native: Installed
) -> None:
    desk = make_desk()
    desk.open(strategies=1, gate=gate(permitTTL="4s", recovery={"mode": "RequireApproval"}))
    desk.wait_state("Open", timeout=90)
    strategy = next(iter(desk.phases()))
    address = desk.get("pod", strategy)["status"]["podIP"]
    desk.patch_gate({"emergencyStop": {"reason": "before the outage", "by": "e2e"}})
    desk.wait_state("Stopped", timeout=20)
    other = make_desk()
    other.open(strategies=1, gate=gate(permitTTL="4s"))
    other.wait_state("Open", timeout=90)
    open_address = other.get("pod", next(iter(other.phases())))["status"]["podIP"]
    faults.by_name(native.config, "apiserver-stop")
    try:
        wait_for(
            "the permit under the open gate runs out",
            lambda: _permit(native, open_address)["state"] == "Halted",
            timeout=40,
        )
        assert _permit(native, address)["state"] == "Halted"
    finally:
        faults.by_name(native.config, "apiserver-start")
    wait_for("the gate reads Open again", lambda: other.wait_state("Open"), timeout=120)
    before = other.live_orders()
    wait_for("orders flow again", lambda: other.live_orders() > before, timeout=120)
    assert desk.gate_status()["state"] == "Stopped"
    assert desk.evidence(strategy)["permit"]["state"] == "Halted"


def _permit(native: Installed, address: str) -> dict[str, str]:
    """A guard's permit, read inside the cluster's network: the apiserver is away."""
    url = f"http://{address}:9464/v1/evidence?once=1"
    code = f"import urllib.request as u; print(u.urlopen({url!r}, timeout=3).read().decode())"
    argv = netns.enter(netns.holder(native.config).pid, ["python3", "-c", code])
    permit: dict[str, str] = json.loads(run(argv))["permit"]
    return permit


def test_pod_evicted_by_hand_is_admitted_again(desk: Desk) -> None:
    name = next(iter(desk.phases()))
    old = desk.get("pod", name)["metadata"]["uid"]
    eviction = {
        "apiVersion": "policy/v1",
        "kind": "Eviction",
        "metadata": {"name": name, "namespace": desk.namespace},
    }
    path = f"/api/v1/namespaces/{desk.namespace}/pods/{name}/eviction"
    desk.kubectl("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
    wait_for(
        "a new pod runs",
        lambda: (
            desk.get("pod", name)["metadata"]["uid"] != old
            and desk.status("strategy", name)["phase"] == "Running"
        ),
        timeout=120,
    )


def test_a_namespace_that_goes_does_not_hold_back_the_heartbeat_of_others(
    make_desk: Callable[..., Desk],
) -> None:
    desk, gone = make_desk(), make_desk()
    for each in (desk, gone):
        each.open(strategies=1, gate=gate(permitTTL="4s"))
    for each in (desk, gone):
        each.wait_state("Open", timeout=90)
    gone.close()
    began = time.monotonic()
    before = desk.live_orders()
    while time.monotonic() - began < 8:
        time.sleep(1.5)
        now = desk.live_orders()
        assert now > before, "orders stopped with another namespace"
        before = now
    assert desk.gate_status()["state"] == "Open"
