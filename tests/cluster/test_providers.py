"""Choosing a provider, and the command lines that the kind provider makes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cluster import kind
from cluster.config import from_environment
from cluster.errors import ClusterError
from cluster.providers import pick


@pytest.mark.parametrize(
    ("docker", "has_kind", "root", "expected"),
    [
        (True, True, True, "kind"),
        (True, False, True, "native"),
        (False, True, True, "native"),
        (False, False, True, "native"),
        (True, True, False, "kind"),
    ],
)
def test_auto(docker: bool, has_kind: bool, root: bool, expected: str) -> None:
    assert pick("auto", docker=docker, kind=has_kind, linux_root=root) == expected


def test_auto_never_takes_an_existing_cluster() -> None:
    with pytest.raises(ClusterError, match="no way to make a cluster"):
        pick("auto", docker=True, kind=False, linux_root=False)


@pytest.mark.parametrize("name", ["kind", "native", "existing"])
def test_a_named_provider_is_taken_as_it_is(name: str) -> None:
    assert pick(name, docker=False, kind=False, linux_root=False) == name


def test_an_unknown_provider_is_refused_by_name() -> None:
    with pytest.raises(ClusterError, match="minikube"):
        pick("minikube", docker=True, kind=True, linux_root=True)


def test_environment_and_option() -> None:
    env = {"TIDEGATE_STATE": "/s", "TIDEGATE_CACHE": "/c", "TIDEGATE_CLUSTER": "native"}
    config = from_environment(env)
    assert (config.state, config.cache, config.provider) == (Path("/s"), Path("/c"), "native")
    assert from_environment(env, provider="kind").provider == "kind"
    assert from_environment({"HOME": "/h"}).cache == Path("/h/.cache/tidegate")
    assert from_environment({}).state == Path("/tmp/tidegate-cluster")


def test_kind_never_touches_the_users_own_kubeconfig() -> None:
    ours = Path("/s/kubeconfig")
    for command in (kind.create_command(ours), kind.delete_command(ours)):
        assert command[command.index("--kubeconfig") + 1] == "/s/kubeconfig"
        assert command[command.index("--name") + 1] == kind.CLUSTER


def test_kind_commands() -> None:
    assert kind.create_command(Path("/k"))[:3] == ["kind", "create", "cluster"]
    assert kind.delete_command(Path("/k"))[:3] == ["kind", "delete", "cluster"]
    build = kind.build_command(Path("/repo"), "localhost/tidegate:dev")
    assert build[:2] == ["docker", "build"]
    assert build[build.index("--file") + 1] == "/repo/Dockerfile"
    assert build[-1] == "/repo"
    load = kind.load_command("a:1", "a:2")
    assert load[:3] == ["kind", "load", "docker-image"]
    assert load[-2:] == ["a:1", "a:2"]


def test_kind_image_reference_is_by_content() -> None:
    inspected = json.dumps([{"Id": "sha256:" + "ab" * 32}])
    assert kind.image_tag(inspected) == "localhost/tidegate:" + "ab" * 6
    with pytest.raises(ClusterError, match="inspect"):
        kind.image_tag(json.dumps([{"Id": "ab"}]))
