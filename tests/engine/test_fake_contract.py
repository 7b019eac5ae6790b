"""What the engine's tests ask of the FAKE apiserver, asked of the real one too."""

import contextlib
import uuid
from collections.abc import AsyncIterator

import pytest
from fake_api import FakeApi

from tidegate.kube.api import LEASES, Conflict, KubeApi, NotFound, Object

NS = "default"


@pytest.fixture(params=["fake", "real"])
async def api(request: pytest.FixtureRequest) -> AsyncIterator[KubeApi]:
    if request.param == "fake":
        yield FakeApi()
        return
    from tidegate.kube.client import AiohttpKubeApi
    from tidegate.kube.config import load_config

    config = load_config({"KUBECONFIG": request.getfixturevalue("kubeconfig")})
    async with config.session() as session:
        yield AiohttpKubeApi(session, config.base_url)


@pytest.fixture
async def name(api: KubeApi) -> AsyncIterator[str]:
    made = f"fake-contract-{uuid.uuid4().hex[:8]}"
    yield made
    with contextlib.suppress(NotFound):
        await api.delete(LEASES, made, NS)


def lease(name: str) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "labels": {"run": name}},
        "spec": {"holderIdentity": "a", "leaseDurationSeconds": 5},
    }


async def test_names_are_taken_once_and_versions_guard_writes(api: KubeApi, name: str) -> None:
    made = await api.create(LEASES, lease(name), NS)
    with pytest.raises(Conflict) as taken:
        await api.create(LEASES, lease(name), NS)
    assert taken.value.already_exists
    version = made["metadata"]["resourceVersion"]
    change = {"spec": {"holderIdentity": "b", "leaseDurationSeconds": None}}
    new = await api.merge_patch(LEASES, name, NS, change, resource_version=version)
    assert new["spec"] == {"holderIdentity": "b"}
    assert int(new["metadata"]["resourceVersion"]) > int(version)
    with pytest.raises(Conflict) as stale:
        await api.merge_patch(LEASES, name, NS, change, resource_version=version)
    assert not stale.value.already_exists


async def test_lists_select_by_label_and_deletion_by_uid(api: KubeApi, name: str) -> None:
    made = await api.create(LEASES, lease(name), NS)
    listed = await api.list(LEASES, namespace=NS, label_selector=f"run={name}")
    assert [o["metadata"]["name"] for o in listed.items] == [name]
    with pytest.raises(Conflict):
        await api.delete(LEASES, name, NS, uid=str(uuid.uuid4()))
    await api.delete(LEASES, name, NS, uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await api.get(LEASES, name, NS)
    with pytest.raises(NotFound):
        await api.merge_patch(LEASES, name, NS, {"spec": {}})
