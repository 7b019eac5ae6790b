"""The examples fit together: quota, guard, gate and chart."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from chart_helm import CHART, ROOT, Object, of

from tidegate.api.driftgate import DriftGateSpec
from tidegate.api.strategy import StrategySpec
from tidegate.core import admission
from tidegate.core.demand import pod_demand
from tidegate.core.selector import matches
from tidegate.kube.pod import PodSettings, build_pod
from tidegate.runtime.main import RuntimeConfig, load

EXAMPLES = ROOT / "examples"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FILES = sorted(EXAMPLES.rglob("*.yaml"))


def read(path: Path) -> list[Object]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


APPLIED = [o for path in sorted(EXAMPLES.glob("*.yaml")) for o in read(path)]
(SIXTH,) = read(EXAMPLES / "more" / "sixth.yaml")
STRATEGIES = of(APPLIED, "Strategy")


def built(strategy: Object) -> Object:
    """Its pod, with the guard that the chart's own values ask for."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    guard = PodSettings(
        image="localhost/tidegate:dev",
        pull_policy="IfNotPresent",
        operator_namespace="tidegate-system",
        guard_resources=values["guard"]["resources"],
    )
    return build_pod(
        {**strategy["metadata"], "uid": "u"}, StrategySpec.model_validate(strategy["spec"]), guard
    )


def templates() -> list[Object]:
    return [
        *(strategy["spec"]["template"]["spec"] for strategy in [*STRATEGIES, SIXTH]),
        *(d["spec"]["template"]["spec"] for d in of(APPLIED, "Deployment")),
    ]


def test_quota_has_room_for_the_venue_and_exactly_five_strategies() -> None:
    (quota,) = of(APPLIED, "ResourceQuota")
    (venue,) = of(APPLIED, "Deployment")
    taken = pod_demand(venue["spec"]["template"]["spec"])
    used = {name: str(taken[name]) for name in quota["spec"]["hard"]}
    counted = admission.quota({**quota, "status": {"used": used, "hard": quota["spec"]["hard"]}})
    pending = [
        admission.Pending(
            name=strategy["metadata"]["name"],
            priority=0,
            created=NOW.replace(minute=minute),
            demand=pod_demand(built(strategy)["spec"]),
            quotas=frozenset({"desk-a"}),
        )
        for minute, strategy in enumerate([*STRATEGIES, SIXTH])
    ]
    actions = admission.plan(admission.Snapshot([counted], pending))
    assert [action.kind for action in actions] == ["Admit"] * 5 + ["Wait"]
    waiting = actions[-1]
    assert waiting.name == SIXTH["metadata"]["name"]
    # Every line of the quota is as tight as its comment says.
    assert {short.resource for short in waiting.waiting_for} == quota["spec"]["hard"].keys()
    for resource, hard in counted.hard.items():
        each = sum((p.demand[resource] for p in pending[:5]), Decimal(0))
        assert each + taken[resource] == hard, resource


def test_gate_selects_every_strategy_and_all_are_live() -> None:
    (gate,) = of(APPLIED, "DriftGate")
    spec = DriftGateSpec.model_validate(gate["spec"])
    for strategy in [*STRATEGIES, SIXTH]:
        assert matches(spec.strategies, strategy["metadata"]["labels"])
        assert strategy["spec"]["mode"] == "Live"
    assert len(STRATEGIES) == 5


@pytest.mark.parametrize("strategy", [*STRATEGIES, SIXTH], ids=lambda s: s["metadata"]["name"])
def test_strategy_is_one_that_the_runtime_runs(strategy: Object) -> None:
    (container,) = strategy["spec"]["template"]["spec"]["containers"]
    command, target = container["args"]
    assert command == "run"
    load(target)
    config = RuntimeConfig.from_env({e["name"]: e["value"] for e in container["env"]})
    (service,) = of(APPLIED, "Service")
    port = service["spec"]["ports"][0]["port"]
    assert config.url == f"ws://{service['metadata']['name']}:{port}/ws"


def test_image_is_that_of_the_chart_and_replaced_by_one_word() -> None:
    image = yaml.safe_load((CHART / "values.yaml").read_text())["image"]
    for pod in templates():
        for container in pod["containers"]:
            assert container["image"] == f"{image['repository']}:{image['tag']}"
            assert container["imagePullPolicy"] == image["pullPolicy"]


def test_all_are_of_one_namespace_but_the_namespace() -> None:
    for found in [*APPLIED, SIXTH]:
        if found["kind"] == "Namespace":
            assert found["metadata"]["name"] == "trading"
        else:
            assert found["metadata"]["namespace"] == "trading"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.name)
def test_file_can_be_joined_with_others(path: Path) -> None:
    """`sed … examples/*.yaml | kubectl apply -f -` must not run two documents into one."""
    assert path.read_text().startswith("---\n")


@pytest.mark.parametrize("strategy", STRATEGIES[:1], ids=["with-guard"])
def test_pod_meets_pod_security_restricted(strategy: Object) -> None:
    (namespace,) = of(APPLIED, "Namespace")
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for pod in [*templates(), built(strategy)["spec"]]:
        outer: dict[str, Any] = pod["securityContext"]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            inner = {**outer, **container["securityContext"]}
            assert inner["runAsNonRoot"] is True
            assert inner["seccompProfile"] == {"type": "RuntimeDefault"}
            assert inner["capabilities"] == {"drop": ["ALL"]}
            assert inner["allowPrivilegeEscalation"] is False
            assert inner["readOnlyRootFilesystem"] is True
