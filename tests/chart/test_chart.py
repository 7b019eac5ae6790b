"""What the chart installs, and what its values change."""

import json

import pytest
import yaml
from chart_helm import CHART, NAMESPACE, ROOT, Helm, HelmError, Object, of

from tidegate.shell import settings

PLACEMENT: Object = {
    "nodeSelector": {"pool": "trading"},
    "tolerations": [{"key": "trading", "operator": "Exists", "effect": "NoSchedule"}],
    "affinity": {"nodeAffinity": {}},
    "priorityClassName": "high",
    "imagePullSecrets": [{"name": "pull"}],
}


def test_lint_is_strict_and_silent(helm: Helm) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART))


def test_every_object_is_labelled_and_placed(shipped: list[Object]) -> None:
    cluster_wide = {"CustomResourceDefinition", "ClusterRole", "ClusterRoleBinding"}
    for found in shipped:
        meta = found["metadata"]
        assert meta["labels"]["app.kubernetes.io/name"] == "tidegate", meta["name"]
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "Helm", meta["name"]
        if found["kind"] not in cluster_wide:
            assert meta["namespace"] == NAMESPACE, meta["name"]


def test_definitions_are_those_of_the_tree(helm: Helm, shipped: list[Object]) -> None:
    wanted = {
        (manifest := yaml.safe_load(path.read_text()))["metadata"]["name"]: manifest["spec"]
        for path in (ROOT / "crds").iterdir()
    }
    found = of(shipped, "CustomResourceDefinition")
    assert {crd["metadata"]["name"]: crd["spec"] for crd in found} == wanted
    for crd in found:
        assert crd["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    for crd in of(helm.render({"crds": {"keep": False}}), "CustomResourceDefinition"):
        assert "annotations" not in crd["metadata"]
    assert not of(helm.render({"crds": {"install": False}}), "CustomResourceDefinition")


def test_operator_is_configured_as_it_reads_its_settings(helm: Helm) -> None:
    pod = helm.one(
        "Deployment",
        values={
            "image": {"repository": "registry.test/tg", "tag": "1.2", "pullPolicy": "Never"},
            "logLevel": "DEBUG",
            "guard": {"resources": {"limits": {"cpu": "1"}}},
            "extraEnv": [{"name": "TIDEGATE_PORT", "value": "8080"}],
        },
    )["spec"]["template"]["spec"]
    (operator,) = pod["containers"]
    env = {e["name"]: e.get("value", e["name"]) for e in operator["env"]}
    read = settings.load(env)
    assert operator["args"] == ["operator"]
    # One image for both: guard and operator speak the same version of their protocol.
    assert read.image == operator["image"] == "registry.test/tg:1.2"
    assert read.pull_policy == operator["imagePullPolicy"] == "Never"
    assert read.guard_resources["limits"] == {"cpu": "1", "memory": "128Mi"}
    assert read.log_level == "DEBUG"
    assert {"containerPort": read.port, "name": "http"} in operator["ports"]
    fields = {e["name"]: e["valueFrom"]["fieldRef"]["fieldPath"]
              for e in operator["env"] if "valueFrom" in e}  # fmt: skip
    assert fields == {
        "TIDEGATE_NAMESPACE": "metadata.namespace",
        "TIDEGATE_POD_NAME": "metadata.name",
    }


def test_service_s_environment_can_t_pass_for_a_setting(helm: Helm) -> None:
    """Kubernetes would set TIDEGATE_PORT=tcp://… for a Service named tidegate."""
    assert helm.one("Deployment")["spec"]["template"]["spec"]["enableServiceLinks"] is False


def test_tag_defaults_to_the_version_of_the_chart(helm: Helm) -> None:
    deployment = helm.one("Deployment", values={"image": {"tag": ""}})
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    (operator,) = deployment["spec"]["template"]["spec"]["containers"]
    assert operator["image"] == f"localhost/tidegate:{version}"


def test_operator_runs_with_nothing_it_does_not_need(shipped: list[Object]) -> None:
    workloads = [o for o in shipped if "template" in o.get("spec", {})]
    assert [o["kind"] for o in workloads] == ["Deployment"]
    for workload in workloads:
        pod = workload["spec"]["template"]["spec"]
        assert pod["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 65532,
            "runAsGroup": 65532,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        for name in ("hostNetwork", "hostPID", "hostIPC", "volumes"):
            assert name not in pod
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert {"requests", "limits"} == container["resources"].keys()
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                assert container[probe]["httpGet"]["port"] == "http"


def test_two_replicas_keep_apart_and_survive_a_drain(helm: Helm) -> None:
    deployment = helm.one("Deployment")
    assert deployment["spec"]["replicas"] == 2
    pod = deployment["spec"]["template"]
    assert pod["spec"]["terminationGracePeriodSeconds"] == 15
    (term,) = pod["spec"]["affinity"]["podAntiAffinity"][
        "preferredDuringSchedulingIgnoredDuringExecution"
    ]
    selector = deployment["spec"]["selector"]
    assert term["podAffinityTerm"]["labelSelector"] == selector
    budget = helm.one("PodDisruptionBudget")["spec"]
    assert (budget["minAvailable"], budget["selector"]) == (1, selector)
    assert helm.one("Service")["spec"]["selector"] == selector["matchLabels"]
    assert selector["matchLabels"].items() <= pod["metadata"]["labels"].items()


@pytest.mark.parametrize("values", [{"replicas": 1}, {"podDisruptionBudget": {"enabled": False}}])
def test_no_budget_that_would_block_every_drain(helm: Helm, values: Object) -> None:
    assert not of(helm.render(values), "PodDisruptionBudget")


def test_pods_are_placed_and_marked_as_told(helm: Helm) -> None:
    told = {**PLACEMENT, "podAnnotations": {"a": "b"}, "podLabels": {"team": "fx"}}
    template = helm.one("Deployment", values=told)["spec"]["template"]
    assert {k: template["spec"][k] for k in PLACEMENT} == PLACEMENT
    assert template["metadata"]["annotations"] == {"a": "b"}
    assert template["metadata"]["labels"]["team"] == "fx"
    plain = helm.one("Deployment")["spec"]["template"]["spec"]
    assert PLACEMENT.keys() & plain.keys() == {"affinity"}
    values: Object = {"serviceAccount": {"annotations": {"role": "r"}}}
    account = helm.one("ServiceAccount", values=values)
    assert account["metadata"]["annotations"] == {"role": "r"}


def test_monitors_stand_behind_their_toggle(helm: Helm) -> None:
    off = helm.render()
    assert not of(off, "ServiceMonitor")
    assert not of(off, "PodMonitor")
    on = helm.render(
        {"serviceMonitor": {"enabled": True, "interval": "1s", "labels": {"release": "p"}}}
    )
    (operator,), (guards,) = of(on, "ServiceMonitor"), of(on, "PodMonitor")
    assert operator["metadata"]["labels"]["release"] == "p"
    assert guards["metadata"]["labels"]["release"] == "p"
    (service,) = of(on, "Service")
    wanted = operator["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    (endpoint,) = operator["spec"]["endpoints"]
    assert endpoint["port"] in [port["name"] for port in service["spec"]["ports"]]
    assert endpoint["interval"] == "1s"
    assert guards["spec"]["namespaceSelector"] == {"any": True}


def test_notes_say_what_to_do_next(helm: Helm) -> None:
    said = helm("install", "tidegate", str(CHART), "-n", NAMESPACE, "--dry-run=client")
    notes = said.split("NOTES:", 1)[1]
    assert "kubectl apply -f examples/" in notes
    assert "serviceMonitor.enabled=true" in notes
    assert f"kubectl -n {NAMESPACE} rollout status" in notes


MISTAKES = [
    ({"replica": 3}, "additional properties 'replica' not allowed"),
    ({"image": {"name": "x"}}, "at '/image': additional properties 'name' not allowed"),
    ({"image": {"tag": 1.2}}, "at '/image/tag': got number, want string"),
    ({"image": {"tag": "a b"}}, "at '/image/tag'"),
    ({"image": {"repository": ""}}, "at '/image/repository': minLength: got 0, want 1"),
    ({"image": {"pullPolicy": "Sometimes"}}, "'Always', 'IfNotPresent', 'Never'"),
    ({"replicas": 0}, "at '/replicas': minimum: got 0, want 1"),
    ({"logLevel": "debug"}, "at '/logLevel': value must be one of 'DEBUG'"),
    ({"resources": {"limit": {}}}, "at '/resources': additional properties 'limit' not allowed"),
    ({"guard": {"resources": {"limits": {"cpu": 1}}}}, "/guard/resources/limits/cpu"),
    ({"guard": {"resources": {"limits": {"cpu": "1 core"}}}}, "/guard/resources/limits/cpu"),
    ({"serviceMonitor": {"interval": "5"}}, "at '/serviceMonitor/interval'"),
    ({"serviceMonitor": {"enabled": "yes"}}, "at '/serviceMonitor/enabled'"),
    ({"crds": {"instal": True}}, "at '/crds': additional properties 'instal' not allowed"),
    (
        {"podLabels": {"app.kubernetes.io/name": "x"}},
        "invalid propertyName 'app.kubernetes.io/name'",
    ),
    ({"extraEnv": [{"nam": "x"}]}, "at '/extraEnv/0'"),
    ({"tolerations": [{"operator": "Like"}]}, "at '/tolerations/0/operator'"),
]


@pytest.mark.parametrize(("values", "says"), MISTAKES, ids=[json.dumps(m[0]) for m in MISTAKES])
def test_mistake_in_the_values_is_named(helm: Helm, values: Object, says: str) -> None:
    with pytest.raises(HelmError) as refused:
        helm.render(values)
    assert says in str(refused.value)


def test_every_value_has_a_schema() -> None:
    """Strict everywhere: an object either lists its fields or is free by design."""
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values.keys() == schema["properties"].keys() - {"global"}
    for name, part in schema["properties"].items():
        if part.get("type") == "object" and name != "global":
            assert part.get("additionalProperties") is False, name
            assert values[name].keys() <= part["properties"].keys(), name
