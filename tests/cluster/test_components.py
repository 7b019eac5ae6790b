"""Command lines, configuration files and readiness, as pure functions of the state directory."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
import yaml

from cluster import components, settings
from cluster.errors import ClusterError
from cluster.kubectl import condition, wait
from cluster.monitoring import operator_manifests

STATE = Path("/s")
BINARIES = {
    name: Path("/b") / name
    for name in (
        "containerd",
        "etcd",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-scheduler",
        "kubelet",
        "kube-proxy",
    )
}


def test_every_component_has_a_command_line_but_the_forwarder() -> None:
    lines = components.command_lines(STATE, BINARIES)
    assert set(lines) == set(components.ORDER) - {"forward"}
    assert all(line[0].startswith("/b/") for line in lines.values())


def test_everything_is_written_below_the_state_directory() -> None:
    lines = components.command_lines(STATE, BINARIES)
    assert "--root-dir=/s/kubelet" in lines["kubelet"]
    assert any(word.startswith("--data-dir=/s/etcd") for word in lines["etcd"])
    config = tomllib.loads(settings.containerd(STATE))
    assert config["root"].startswith("/s/")
    assert config["state"].startswith("/s/")


def test_etcd_keeps_its_fsync_for_the_restart_fault() -> None:
    assert "--unsafe-no-fsync" not in components.command_lines(STATE, BINARIES)["etcd"]


def test_cgroup_v1_is_allowed_only_where_it_is() -> None:
    old = yaml.safe_load(settings.kubelet(STATE, cgroup_v2=False))
    new = yaml.safe_load(settings.kubelet(STATE, cgroup_v2=True))
    assert old["failCgroupV1"] is False
    assert "failCgroupV1" not in new


def test_the_network_configuration_is_what_cni_reads() -> None:
    plugins = json.loads(settings.cni(STATE))["plugins"]
    assert [plugin["type"] for plugin in plugins] == ["bridge", "portmap"]


def test_conditions() -> None:
    def node(status: str) -> dict[str, object]:
        ready = {"type": "Ready", "status": status, "reason": "R", "message": "m"}
        return {"status": {"conditions": [{"type": "X", "status": "True"}, ready]}}

    assert condition(node("True"), "Ready") == (True, "R: m")
    assert condition(node("Unknown"), "Ready") == (False, "R: m")
    assert condition({}, "Ready") == (False, "no condition Ready yet")
    assert condition({"status": {"conditions": None}}, "Ready")[0] is False


def test_a_wait_that_fails_says_what_it_last_found() -> None:
    with pytest.raises(ClusterError) as caught:
        wait("node n", lambda: (False, "still booting"), timeout=0, do="look")
    assert caught.value.text().splitlines() == [
        "node n",
        "  expected: within 0 s",
        "  found: still booting",
        "  do: look",
    ]


def test_operator_account_and_subjects_move_to_our_namespace() -> None:
    account = "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: o, namespace: default}\n"
    binding = (
        "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\n"
        "metadata: {name: o}\nsubjects: [{kind: ServiceAccount, name: o, namespace: default}]\n"
    )
    made = list(yaml.safe_load_all(operator_manifests([account, binding], "kind: Deployment\n")))
    assert made[0]["metadata"]["namespace"] == "monitoring"
    assert made[1]["subjects"][0]["namespace"] == "monitoring"
    assert "namespace" not in made[1]["metadata"]
    assert made[2] == {"kind": "Deployment"}
