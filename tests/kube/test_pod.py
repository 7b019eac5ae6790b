"""The pod of a strategy: what the guard needs is there, what the user wrote is kept."""

import copy
from typing import Any

import pytest

from tidegate.api.strategy import StrategySpec
from tidegate.kube.pod import GUARD, PodSettings, build_pod, guard_rolebinding, template_hash

SETTINGS = PodSettings("img:1", "Never", "tidegate-system", {"requests": {"cpu": "20m"}})
META = {"name": "s", "namespace": "ns", "uid": "u-1", "labels": {"desk": "a"}}


def spec(**pod: Any) -> StrategySpec:
    base = {"containers": [{"name": "strategy", "image": "mine:1"}]}
    return StrategySpec(mode="Live", template={"spec": {**base, **pod}})


def built(**pod: Any) -> dict[str, Any]:
    return build_pod(META, spec(**pod), SETTINGS)


def test_the_guard_is_a_native_sidecar_before_everything_else() -> None:
    pod = built(initContainers=[{"name": "warm", "image": "w"}])
    first, second = pod["spec"]["initContainers"]
    assert (first["name"], first["restartPolicy"], first["image"]) == (GUARD, "Always", "img:1")
    assert second["name"] == "warm"


def test_the_guard_runs_with_nothing_it_does_not_need() -> None:
    context = built()["spec"]["initContainers"][0]["securityContext"]
    assert context["runAsNonRoot"]
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"] == {"drop": ["ALL"]}


def test_only_the_guard_has_the_api_token() -> None:
    pod = built()["spec"]
    assert pod["automountServiceAccountToken"] is False
    mounts = [m["name"] for c in pod["containers"] for m in c["volumeMounts"]]
    assert mounts == ["tidegate-run"]
    guard = [m["name"] for m in pod["initContainers"][0]["volumeMounts"]]
    assert "tidegate-token" in guard


def test_a_template_that_wants_the_token_or_another_group_keeps_that() -> None:
    pod = built(automountServiceAccountToken=True, securityContext={"fsGroup": 7})["spec"]
    assert pod["automountServiceAccountToken"] is True
    assert pod["securityContext"]["fsGroup"] == 7


def test_every_container_shares_the_permit_and_knows_its_strategy() -> None:
    two = [{"name": "a", "image": "x", "env": [{"name": "MINE", "value": "1"}]}, {"name": "b"}]
    for container in built(containers=two)["spec"]["containers"]:
        assert {"name": "tidegate-run", "mountPath": "/run/tidegate"} in container["volumeMounts"]
        assert {"name": "TIDEGATE_STRATEGY", "value": "s"} in container["env"]
    assert {"name": "MINE", "value": "1"} in built(containers=two)["spec"]["containers"][0]["env"]


def test_labels_owner_and_hash() -> None:
    meta = built()["metadata"]
    assert meta["labels"] == {"desk": "a", "tidegate.dev/strategy": "s"}
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Strategy", "u-1", True)
    assert meta["annotations"]["tidegate.dev/template-hash"] == template_hash(spec())


def test_the_hash_follows_what_the_user_asks_for_and_not_the_guard_s_image() -> None:
    other = StrategySpec(mode="Paper", template=spec().template)
    assert template_hash(other) != template_hash(spec())
    assert template_hash(spec(nodeName="n")) != template_hash(spec())


@pytest.mark.parametrize(
    ("pod", "said"),
    [
        ({"containers": [{"name": GUARD}]}, r"containers\[0\].name: 'tidegate-guard' is reserved"),
        ({"initContainers": [{"name": GUARD}]}, r"initContainers\[0\].name"),
        ({"volumes": [{"name": "tidegate-run"}]}, r"volumes\[0\].name"),
        (
            {"containers": [{"name": "a", "volumeMounts": [{"mountPath": "/run/tidegate/"}]}]},
            r"volumeMounts\[0\].mountPath",
        ),
        (
            {"containers": [{"name": "a", "volumeMounts": [{"mountPath": "/run/x/../tidegate"}]}]},
            r"volumeMounts\[0\].mountPath",
        ),
        ({"volumes": [{"name": "mine"}, {"name": "tidegate-mine"}]}, r"volumes\[1\].name"),
        ({"hostNetwork": True}, r"spec.hostNetwork: expected false, was true.*9464"),
        (
            {"containers": [{"name": "a", "ports": [{"containerPort": 9464}]}]},
            r"containers\[0\].ports\[0\].containerPort: 9464",
        ),
        (
            {"containers": [{"name": "a", "env": [{"name": "TIDEGATE_MODE", "value": "Live"}]}]},
            r"containers\[0\].env\[0\].name: TIDEGATE_MODE",
        ),
        ({"initContainers": "none"}, r"initContainers: expected a list of objects, was 'none'"),
        (
            {"containers": [{"name": "a", "env": {"A": "1"}}]},
            r"containers\[0\].env: expected a list",
        ),
    ],
)
def test_what_is_reserved_is_refused_by_name(pod: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        built(**pod)


def test_what_a_template_leaves_null_is_as_if_it_were_not_there() -> None:
    pod = built(
        automountServiceAccountToken=None, securityContext=None, volumes=None, initContainers=None
    )["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"] == {"fsGroup": 65532}


def test_a_template_s_own_labels_and_annotations_are_kept() -> None:
    template = {**spec().template, "metadata": {"labels": {"team": "x"}, "annotations": {"a": "b"}}}
    meta = build_pod(META, StrategySpec(mode="Live", template=template), SETTINGS)["metadata"]
    assert meta["labels"] == {"team": "x", "desk": "a", "tidegate.dev/strategy": "s"}
    assert meta["annotations"]["a"] == "b"


def test_the_template_itself_is_left_alone() -> None:
    asked = spec()
    before = copy.deepcopy(asked.template)
    build_pod(META, asked, SETTINGS)
    assert asked.template == before


def test_the_guards_of_a_namespace_may_read_there_only() -> None:
    binding = guard_rolebinding("ns")
    assert binding["metadata"]["namespace"] == "ns"
    assert binding["subjects"][0]["name"] == "system:serviceaccounts:ns"
