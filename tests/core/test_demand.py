"""What a pod costs, as Kubernetes counts it."""

from decimal import Decimal
from typing import Any

import pytest

from tidegate.core.demand import pod_demand


def container(cpu: str, *, sidecar: bool = False, **limits: str) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "c", "resources": {"requests": {"cpu": cpu}, "limits": limits}}
    return {**made, "restartPolicy": "Always"} if sidecar else made


def cpu(**spec: Any) -> Decimal:
    return pod_demand(spec)["requests.cpu"]


def test_containers_and_native_sidecars_add_up() -> None:
    assert cpu(
        containers=[container("1"), container("500m")],
        initContainers=[container("250m", sidecar=True)],
    ) == Decimal("1.75")


def test_a_large_init_container_counts_with_the_sidecars_before_it_only() -> None:
    # KEP-753: sidecar 250m runs beside the init container of 3; the later sidecar does not.
    assert cpu(
        containers=[container("1")],
        initContainers=[
            container("250m", sidecar=True), container("3"), container("1", sidecar=True),
        ],
    ) == Decimal("3.25")  # fmt: skip


def test_a_request_that_is_missing_is_the_limit() -> None:
    pod = {"containers": [{"name": "c", "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}]}
    demand = pod_demand(pod)
    assert (demand["requests.cpu"], demand["cpu"], demand["limits.cpu"]) == (2, 2, 2)
    assert demand["requests.memory"] == 2**30


def test_overhead_pod_level_resources_and_extended_ones_count() -> None:
    pod = {
        "containers": [container("1", **{"nvidia.com/gpu": "2"})],
        "overhead": {"cpu": "100m"},
    }
    assert pod_demand(pod)["requests.cpu"] == Decimal("1.1")
    assert pod_demand(pod)["requests.nvidia.com/gpu"] == 2
    level = {"containers": [container("1")], "resources": {"requests": {"cpu": "4"}}}
    assert pod_demand(level)["requests.cpu"] == 4
    assert pod_demand(level)["pods"] == pod_demand(level)["count/pods"] == 1


def test_a_quantity_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="lots"):
        pod_demand({"containers": [container("lots")]})
