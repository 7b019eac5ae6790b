"""What a pod costs, as Kubernetes counts it."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.demand import MUST_BE_STATED, pod_demand, unstated


def container(cpu: str, /, *, sidecar: bool = False, **limits: str) -> dict[str, Any]:
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


def test_the_example_of_kep_753() -> None:
    # InitContainerUse: 10, 20, 5+30 beside the sidecar; containers 1+1 beside sidecars 5+4.
    assert cpu(
        initContainers=[
            container("10"), container("20"), container("5", sidecar=True), container("30"),
            container("4", sidecar=True),
        ],
        containers=[container("1"), container("1")],
    ) == 35  # fmt: skip


def test_pod_level_limits_alone_are_the_requests_that_no_container_makes() -> None:
    bare: dict[str, Any] = {"name": "c"}
    pod = {"containers": [bare], "resources": {"limits": {"cpu": "2", "memory": "1Gi"}}}
    demand = pod_demand(pod)
    assert (demand["requests.cpu"], demand["limits.cpu"]) == (2, 2)
    with_request = {"containers": [container("1")], "resources": {"limits": {"cpu": "2"}}}
    assert pod_demand(with_request)["requests.cpu"] == 1
    # Whoever speaks for the pod need not speak for each container.
    assert unstated(pod) == {}
    assert pod_demand(with_request)["limits.memory"] == 0


def test_overhead_comes_on_top_of_requests_and_of_limits_that_there_are() -> None:
    pod = {
        "containers": [container("1", cpu="2")],
        "overhead": {"cpu": "100m", "memory": "64Mi"},
    }
    demand = pod_demand(pod)
    assert (demand["requests.cpu"], demand["limits.cpu"]) == (Decimal("1.1"), Decimal("2.1"))
    assert "limits.memory" not in demand


def test_storage_hugepages_and_extended_resources_as_a_quota_spells_them() -> None:
    limits = {"ephemeral-storage": "1Gi", "hugepages-2Mi": "4Mi", "example.com/fpga": "1"}
    demand = pod_demand({"containers": [container("1", **limits)]})
    assert demand["limits.ephemeral-storage"] == demand["requests.ephemeral-storage"] == 2**30
    assert demand["hugepages-2Mi"] == demand["requests.hugepages-2Mi"] == 4 * 2**20
    assert demand["requests.example.com/fpga"] == 1
    assert not {"limits.example.com/fpga", "example.com/fpga", "limits.hugepages-2Mi"} & set(demand)


def test_what_one_container_leaves_out_has_no_amount_and_is_named() -> None:
    pod = {
        "containers": [{**container("1", cpu="1"), "name": "a"}, {**container("1"), "name": "b"}],
        "initContainers": [{"name": "init", "resources": {"limits": {"memory": "1Gi"}}}],
    }
    missing = unstated(pod)
    assert missing["limits.cpu"] == ("init", "b")
    assert missing["requests.cpu"] == missing["cpu"] == ("init",)
    assert missing["memory"] == ("a", "b")
    assert not set(missing) & set(pod_demand(pod))


requirements = st.fixed_dictionaries(
    {},
    optional={
        kind: st.dictionaries(
            st.sampled_from(["cpu", "memory"]), st.integers(0, 9).map(str), max_size=2
        )
        for kind in ("requests", "limits")
    },
)
containers = st.builds(
    lambda resources, always: {
        "name": "c", "resources": resources, **({"restartPolicy": "Always"} if always else {})
    },
    requirements,
    st.booleans(),
)  # fmt: skip


@given(st.lists(containers, min_size=1, max_size=3), st.lists(containers, max_size=3))
def test_a_pod_costs_what_runs_at_once_and_at_least_each_part(
    running: list[dict[str, Any]], first: list[dict[str, Any]]
) -> None:
    demand = pod_demand({"containers": running, "initContainers": first})
    for name, amount in demand.items():
        if name not in MUST_BE_STATED:
            continue
        parts = [pod_demand({"containers": [c]})[name] for c in [*running, *first]]
        assert max(parts) <= amount <= sum(parts)
        assert amount >= sum(parts[: len(running)])
