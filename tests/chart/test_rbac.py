"""Least privilege, as written and as a real apiserver enforces it."""

import json
import subprocess
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from chart_helm import NAMESPACE, Helm, Object, of

from cluster import tools
from cluster.config import from_environment
from tidegate.api.meta import HEARTBEAT_LEASE, LEADER_LEASE
from tidegate.kube.pod import GUARD, guard_rolebinding

READ = {"get", "list", "watch"}
# Verbs on each resource: what the operator's code calls, and nothing else.
OPERATOR = {
    "strategies": READ,
    "driftgates": READ,
    "strategies/status": {"patch"},
    "driftgates/status": {"patch"},
    "gatetransitions": {"get", "list", "create"},
    "pods": READ | {"create", "delete"},
    "resourcequotas": READ,
    "events": {"create", "patch"},
    "rolebindings": {"create"},
    "clusterroles": {"bind"},
}
ROLES = ("ClusterRole", "Role")


def verbs(role: Object) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for rule in role["rules"]:
        for resource in rule["resources"]:
            found.setdefault(resource, set()).update(rule["verbs"])
    return found


def test_no_rule_has_a_wildcard(shipped: list[Object]) -> None:
    roles = [o for o in shipped if o["kind"] in ROLES]
    assert len(roles) == 6
    for role in roles:
        for rule in role["rules"]:
            assert set(rule) <= {"apiGroups", "resources", "resourceNames", "verbs"}
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert not [w for w in words if "*" in w], role["metadata"]["name"]
            assert not {"escalate", "impersonate"} & set(rule["verbs"])
            assert "secrets" not in rule["resources"]


def test_operator_may_do_what_its_code_calls(helm: Helm) -> None:
    role = helm.one("ClusterRole")
    assert verbs(role) == OPERATOR
    named = {r: rule["resourceNames"] for rule in role["rules"] if "resourceNames" in rule
             for r in rule["resources"]}  # fmt: skip
    assert named == {"clusterroles": [GUARD]}


def test_leases_are_the_two_of_the_operator(helm: Helm) -> None:
    create, renew = helm.one("Role")["rules"]
    assert (create["verbs"], "resourceNames" in create) == (["create"], False)
    assert set(renew["resourceNames"]) == {LEADER_LEASE, HEARTBEAT_LEASE}
    assert set(renew["verbs"]) == {"get", "patch"}
    (heartbeat,) = helm.one("Role", "tidegate-heartbeat-reader")["rules"]
    assert heartbeat["resourceNames"] == [HEARTBEAT_LEASE]
    assert set(heartbeat["verbs"]) == READ
    (subject,) = helm.one("RoleBinding", "tidegate-heartbeat-reader")["subjects"]
    assert (subject["kind"], subject["name"]) == ("Group", "system:serviceaccounts")


def test_guard_only_reads(helm: Helm) -> None:
    role = helm.one("ClusterRole", guard_rolebinding("any")["roleRef"]["name"])
    assert verbs(role) == {"strategies": READ, "driftgates": READ}


def test_nobody_writes_audit_records_but_the_operator(shipped: list[Object]) -> None:
    for role in of(shipped, "ClusterRole"):
        allowed = verbs(role).get("gatetransitions", set())
        wanted = OPERATOR["gatetransitions"] if role["metadata"]["name"] == "tidegate" else READ
        assert allowed <= wanted, role["metadata"]["name"]


def test_users_roles_are_aggregated_unless_told_otherwise(helm: Helm) -> None:
    label = "rbac.authorization.k8s.io/aggregate-to-"
    for name in ("view", "edit"):
        labels = helm.one("ClusterRole", f"tidegate-{name}")["metadata"]["labels"]
        assert labels[label + name] == "true"
        values = {"rbac": {"aggregate": False}}
        labels = helm.one("ClusterRole", f"tidegate-{name}", values)["metadata"]["labels"]
        assert not [k for k in labels if k.startswith(label)]


Ask = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture(scope="module")
def installed(helm: Helm, kubeconfig: str) -> Iterator[tuple[Ask, str]]:
    """The chart's roles under names of their own, so that an installed Tidegate is left alone."""
    kubectl = str(tools.ensure(from_environment(), "kubectl")["kubectl"])
    suffix = uuid.uuid4().hex[:8]
    namespace = f"rbac-tests-{suffix}"

    def ask(*words: str, stdin: Any = None) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [kubectl, f"--kubeconfig={kubeconfig}", *words],
            input=None if stdin is None else json.dumps(stdin),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    kinds = {*ROLES, "ClusterRoleBinding", "RoleBinding", "ServiceAccount"}
    text = json.dumps(
        [o for o in helm.render({"rbac": {"aggregate": False}}) if o["kind"] in kinds]
    )
    objects: list[Object] = json.loads(text.replace(NAMESPACE, namespace))
    for found in objects:
        if found["kind"].startswith("ClusterRole"):
            found["metadata"]["name"] += f"-{suffix}"
        if "roleRef" in found and found["roleRef"]["kind"] == "ClusterRole":
            found["roleRef"]["name"] += f"-{suffix}"
    assert ask("create", "namespace", namespace).returncode == 0
    items = {"apiVersion": "v1", "kind": "List", "items": objects}
    try:
        done = ask("create", "-f", "-", stdin=items)
        assert done.returncode == 0, done.stderr
        yield ask, namespace
    finally:
        ask("delete", "-f", "-", "--ignore-not-found", "--wait=false", stdin=items)
        ask("delete", "namespace", namespace, "--wait=false")


def test_apiserver_lets_the_operator_bind_the_guard_s_role_and_no_other(
    installed: tuple[Ask, str],
) -> None:
    ask, namespace = installed
    words = ["create", "--dry-run=server", f"--as=system:serviceaccount:{namespace}:tidegate",
             "-f", "-"]  # fmt: skip
    binding = guard_rolebinding(namespace)
    done = ask(*words, stdin=binding)
    assert done.returncode == 0, done.stderr
    for role in ("cluster-admin", "view"):
        done = ask(*words, stdin={**binding, "roleRef": {**binding["roleRef"], "name": role}})
        assert done.returncode != 0
        assert "attempting to grant RBAC permissions not currently held" in done.stderr


FORBIDDEN = [
    "get secrets",
    "create pods --subresource=exec",
    "patch pods",
    "update gatetransitions.tidegate.dev",
    "delete gatetransitions.tidegate.dev",
    "patch driftgates.tidegate.dev",
    "update driftgates.tidegate.dev --subresource=status",
    "delete leases.coordination.k8s.io",
    "get leases.coordination.k8s.io/another",
    "impersonate users",
    "escalate clusterroles.rbac.authorization.k8s.io",
]


@pytest.mark.parametrize("words", FORBIDDEN)
def test_apiserver_refuses_the_operator_the_rest(installed: tuple[Ask, str], words: str) -> None:
    ask, namespace = installed
    who = f"--as=system:serviceaccount:{namespace}:tidegate"
    answer = ask("auth", "can-i", *words.split(), who, "-n", namespace)
    assert answer.stdout.strip() == "no", answer.stderr


@pytest.mark.parametrize("lease", [LEADER_LEASE, HEARTBEAT_LEASE])
def test_apiserver_lets_the_operator_renew_and_guards_only_watch_the_heartbeat(
    installed: tuple[Ask, str], lease: str
) -> None:
    ask, namespace = installed

    def may(who: str, verb: str) -> bool:
        what = f"leases.coordination.k8s.io/{lease}"
        return ask("auth", "can-i", verb, what, *who.split(), "-n", namespace).stdout == "yes\n"

    operator = f"--as=system:serviceaccount:{namespace}:tidegate"
    guard = "--as=system:serviceaccount:trading:default --as-group=system:serviceaccounts"
    assert may(operator, "patch")
    assert may(guard, "watch") == (lease == HEARTBEAT_LEASE)
    assert not may(guard, "patch")
