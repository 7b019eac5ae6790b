"""Refusals in the real apiserver's own words: which of them pass with time, and which do not."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator

import pytest

from tidegate.kube.api import (
    LEASES,
    NAMESPACES,
    PODS,
    RESOURCEQUOTAS,
    Conflict,
    Forbidden,
    KubeApi,
    NotFound,
    Object,
    Resource,
)
from tidegate.kube.client import AiohttpKubeApi
from tidegate.kube.config import load_config

CONFIGMAPS = Resource("", "v1", "configmaps")
LEASE: Object = {
    "apiVersion": "coordination.k8s.io/v1",
    "kind": "Lease",
    "metadata": {"name": "x"},
}


@pytest.fixture
async def namespace(real_api: KubeApi) -> AsyncIterator[str]:
    name = f"contract-{uuid.uuid4().hex[:8]}"
    body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    await real_api.create(NAMESPACES, body)
    yield name
    with contextlib.suppress(NotFound, Conflict):
        await real_api.delete(NAMESPACES, name)


def pod(name: str) -> Object:
    # "default" may be missing for a moment in a new namespace; a pod without token needs it too.
    spec = {"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": False}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


async def test_a_full_quota_is_told_from_a_refusal(real_api: KubeApi, namespace: str) -> None:
    quota = {
        "apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"pods": "0"}},
    }  # fmt: skip
    await real_api.create(RESOURCEQUOTAS, quota, namespace)
    async with asyncio.timeout(15):
        while True:
            with pytest.raises(Forbidden) as refused:
                await real_api.create(PODS, pod("p"), namespace)
            if "serviceaccount" not in refused.value.message:
                break
            await asyncio.sleep(0.1)
    assert refused.value.quota_busy
    assert not refused.value.unauthorised
    assert not refused.value.namespace_ends


async def test_an_ending_namespace_is_told_from_a_refusal(
    real_api: KubeApi, namespace: str
) -> None:
    meta = {"name": "holds", "finalizers": ["tidegate.dev/contract-test"]}
    holder = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}
    await real_api.create(CONFIGMAPS, holder, namespace)
    await real_api.delete(NAMESPACES, namespace)
    try:
        with pytest.raises(Forbidden) as refused:
            await real_api.create(LEASES, LEASE, namespace)
        assert refused.value.namespace_ends
        assert not refused.value.quota_busy
    finally:
        freed = {"metadata": {"finalizers": None}}
        await real_api.merge_patch(CONFIGMAPS, "holds", namespace, freed)


async def test_missing_rights_are_told_from_a_refusal(kubeconfig: str) -> None:
    config = load_config({"KUBECONFIG": kubeconfig})
    async with config.session() as session:
        session.headers["Impersonate-User"] = "nobody"
        with pytest.raises(Forbidden) as refused:
            await AiohttpKubeApi(session, config.base_url).create(PODS, pod("p"), "default")
    assert refused.value.unauthorised
    assert not refused.value.quota_busy
