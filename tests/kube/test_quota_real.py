"""What we think a pod costs, against what the real apiserver charges and refuses."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from tidegate.api.quantity import parse_quantity
from tidegate.core.admission import Pending, Snapshot, applies, plan, quota
from tidegate.core.demand import pod_demand, unstated
from tidegate.kube.api import (
    NAMESPACES,
    PODS,
    RESOURCEQUOTAS,
    Conflict,
    Forbidden,
    KubeApi,
    NotFound,
    Object,
)

COUNTED = {
    "requests.cpu": "100", "limits.cpu": "100", "requests.memory": "100Gi",
    "limits.memory": "100Gi", "requests.ephemeral-storage": "100Gi",
    "limits.ephemeral-storage": "100Gi", "requests.example.com/fpga": "100", "pods": "100",
    "count/pods": "100",
}  # fmt: skip


def box(cpu: str, memory: str, name: str = "c", *, always: bool = False, **limits: str) -> Object:
    both = {"cpu": cpu, "memory": memory, **limits}
    made: Object = {"name": name, "image": "none", "resources": {"limits": both}}
    return {**made, "restartPolicy": "Always"} if always else made


def less(container: Object, **requests: str) -> Object:
    return {**container, "resources": {**container["resources"], "requests": requests}}


SHAPES: dict[str, Object] = {
    "limits-only": {"containers": [box("1", "1Gi")]},
    "requests-below": {"containers": [less(box("1", "1Gi"), cpu="250m")]},
    "sidecar-and-init": {
        "containers": [box("1", "1Gi"), box("500m", "64Mi", "d")],
        "initContainers": [
            box("250m", "128Mi", "i1", always=True), box("3", "16Mi", "i2"),
            box("1", "1Gi", "i3", always=True), box("100m", "8Gi", "i4"),
        ],
    },
    "extended-and-storage": {
        "containers": [box("1", "1Gi", **{"example.com/fpga": "2", "ephemeral-storage": "1Gi"})]
    },
    "pod-level": {
        "containers": [{"name": "c", "image": "none"}],
        "resources": {"limits": {"cpu": "2", "memory": "2Gi"}},
    },
    "pod-level-and-containers": {
        "containers": [less(box("1", "1Gi"), cpu="500m", memory="1Gi"),
                       {"name": "d", "image": "none"}],
        "resources": {"limits": {"cpu": "2", "memory": "2Gi"}},
    },
}  # fmt: skip


@pytest.fixture
async def namespace(real_api: KubeApi) -> AsyncIterator[str]:
    name = f"quota-{uuid.uuid4().hex[:8]}"
    await real_api.create(NAMESPACES, {"metadata": {"name": name}})
    yield name
    for listed in (await real_api.list(PODS, namespace=name)).items:
        with contextlib.suppress(NotFound):
            await real_api.delete(PODS, listed["metadata"]["name"], name, grace_seconds=0)
    await real_api.delete(NAMESPACES, name)


async def set_quota(api: KubeApi, namespace: str, **spec: Any) -> Object:
    """A quota that its controller has counted."""
    await api.create(RESOURCEQUOTAS, {"metadata": {"name": "q"}, "spec": spec}, namespace)
    async with asyncio.timeout(30):
        while True:
            found = await api.get(RESOURCEQUOTAS, "q", namespace)
            if set(spec["hard"]) <= set(found.get("status", {}).get("used", {})):
                return found
            await asyncio.sleep(0.1)


async def make(api: KubeApi, namespace: str, name: str, spec: Object) -> None:
    # Never scheduled: what is charged is charged at creation.
    body = {
        "metadata": {"name": name},
        "spec": {**spec, "nodeSelector": {"tidegate.dev/test": "nowhere"}},
    }
    async with asyncio.timeout(10):
        while True:
            try:
                await api.create(PODS, body, namespace)
                return
            except Forbidden as error:
                # A new namespace gets its service account a moment later.
                if "serviceaccount" not in error.message:
                    raise
            except Conflict:
                pass  # two writers met at the quota
            await asyncio.sleep(0.1)


async def test_a_pod_costs_what_the_apiserver_charges(real_api: KubeApi, namespace: str) -> None:
    await set_quota(real_api, namespace, hard=COUNTED)
    before = dict.fromkeys(COUNTED, Decimal(0))
    for name, spec in SHAPES.items():
        await make(real_api, namespace, name, spec)
        status = (await real_api.get(RESOURCEQUOTAS, "q", namespace))["status"]
        used = {key: parse_quantity(value) for key, value in status["used"].items()}
        charged = {key: used[key] - before[key] for key in COUNTED}
        demand = pod_demand(spec)
        assert {key: demand.get(key, Decimal(0)) for key in COUNTED} == charged, name
        before = used


async def test_what_a_container_must_state_is_what_the_apiserver_insists_on(
    real_api: KubeApi, namespace: str
) -> None:
    found = await set_quota(real_api, namespace, hard={"limits.cpu": "9", "requests.memory": "9Gi"})
    half = box("1", "1Gi")
    spec = {"containers": [half, {"name": "bare", "image": "none"}]}
    with pytest.raises(Forbidden, match=r"must specify limits\.cpu for: bare") as refused:
        await make(real_api, namespace, "half", spec)
    assert "requests.memory for: bare" in refused.value.message
    assert {k: v for k, v in unstated(spec).items() if k in found["spec"]["hard"]} == {
        "limits.cpu": ("bare",), "requests.memory": ("bare",),
    }  # fmt: skip


async def test_what_is_planned_to_wait_is_refused_and_what_is_admitted_is_made(
    real_api: KubeApi, namespace: str
) -> None:
    await set_quota(real_api, namespace, hard={"limits.cpu": "2500m", "pods": "9"})
    for number, fits in enumerate([True, True, False]):
        spec = {"containers": [box("1", "64Mi")]}
        found = await real_api.get(RESOURCEQUOTAS, "q", namespace)
        listed = quota(found)
        made = found["metadata"]["creationTimestamp"]
        pending = Pending("p", 0, made, pod_demand(spec), frozenset({"q"}))
        (action,) = plan(Snapshot([listed], [pending]))
        assert (action.kind == "Admit") is fits
        if fits:
            await make(real_api, namespace, f"p{number}", spec)
        else:
            with pytest.raises(Forbidden, match="exceeded quota"):
                await make(real_api, namespace, f"p{number}", spec)
            assert [w.short for w in action.waiting_for] == ["500m"]


async def test_scopes_select_the_pods_that_the_apiserver_charges(
    real_api: KubeApi, namespace: str
) -> None:
    scope = {"scopes": ["BestEffort", "NotTerminating"]}
    await set_quota(real_api, namespace, hard={"pods": "9"}, **scope)
    bare: Object = {"containers": [{"name": "c", "image": "none"}]}
    shapes = {
        "bare": bare,
        "sized": {"containers": [box("1", "64Mi")]},
        "bounded": {**bare, "activeDeadlineSeconds": 9},
        "pod-level": {**bare, "resources": {"requests": {"cpu": "1"}}},
        "zero": {"containers": [{**bare["containers"][0], "resources": {"requests": {"cpu": 0}}}]},
    }
    used = 0
    for name, spec in shapes.items():
        await make(real_api, namespace, name, spec)
        status = (await real_api.get(RESOURCEQUOTAS, "q", namespace))["status"]
        now = int(status["used"]["pods"])
        assert applies(scope, spec) == (now > used), name
        used = now
