"""The contract of KubeApi on the real apiserver: what the fake of the other tests stands for."""

import asyncio
import contextlib
import random
import time
import uuid
from collections.abc import AsyncIterator

import pytest

from tidegate.kube.api import (
    LEASES,
    PODS,
    STRATEGIES,
    Conflict,
    Gone,
    Invalid,
    KubeApi,
    NotFound,
    Object,
)
from tidegate.kube.informer import Informer

NS = "default"


def lease(name: str, **labels: str) -> Object:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name, "namespace": NS, "labels": labels},
        "spec": {"holderIdentity": "a"},
    }


@pytest.fixture
async def names(real_api: KubeApi) -> AsyncIterator[list[str]]:
    made = [f"contract-{uuid.uuid4().hex[:8]}" for _ in range(5)]
    yield made
    for name in made:
        with contextlib.suppress(NotFound):
            await real_api.delete(LEASES, name, NS)


async def test_create_get_patch_delete(real_api: KubeApi, names: list[str]) -> None:
    name = names[0]
    made = await real_api.create(LEASES, lease(name), NS)
    with pytest.raises(Conflict) as again:
        await real_api.create(LEASES, lease(name), NS)
    assert again.value.already_exists
    version = made["metadata"]["resourceVersion"]
    body = {"spec": {"holderIdentity": "b"}}
    patched = await real_api.merge_patch(LEASES, name, NS, body, resource_version=version)
    assert patched["spec"]["holderIdentity"] == "b"
    with pytest.raises(Conflict) as stale:
        await real_api.merge_patch(LEASES, name, NS, body, resource_version=version)
    assert not stale.value.already_exists
    with pytest.raises(Conflict):
        await real_api.delete(LEASES, name, NS, uid=str(uuid.uuid4()))
    await real_api.delete(LEASES, name, NS, uid=made["metadata"]["uid"])
    with pytest.raises(NotFound):
        await real_api.get(LEASES, name, NS)


async def test_lists_come_in_chunks_and_by_label(real_api: KubeApi, names: list[str]) -> None:
    for name in names:
        await real_api.create(LEASES, lease(name, run=names[0]), NS)
    listed = await real_api.list(LEASES, namespace=NS, label_selector=f"run={names[0]}", limit=2)
    assert sorted(o["metadata"]["name"] for o in listed.items) == sorted(names)
    assert listed.resource_version.isdigit()
    # Only a list as a whole says on the wire what it holds; here every item does.
    assert {(o["apiVersion"], o["kind"]) for o in listed.items} == {
        ("coordination.k8s.io/v1", "Lease")
    }


async def test_a_watch_from_too_long_ago_is_gone(real_api: KubeApi) -> None:
    try:
        async for _ in real_api.watch(
            LEASES, namespace=NS, resource_version="1", timeout_seconds=1
        ):
            pass
    except Gone:
        return
    pytest.skip("a young apiserver remembers everything; the fake's 410 is tested always")


async def test_a_watch_ends_by_itself_and_says_where_it_got_to(
    real_api: KubeApi, names: list[str]
) -> None:
    listed = await real_api.list(LEASES, namespace=NS)
    await real_api.create(LEASES, lease(names[0]), NS)
    own = [
        event
        async for event in real_api.watch(
            LEASES, namespace=NS, resource_version=listed.resource_version, timeout_seconds=3,
            field_selector=f"metadata.name={names[0]}",
        )
    ]  # fmt: skip
    assert own[0].type == "ADDED"
    assert own[0].object["kind"] == "Lease"
    assert all(event.type == "BOOKMARK" for event in own[1:])


async def test_the_status_subresource_changes_the_status_alone(
    real_api: KubeApi, names: list[str]
) -> None:
    template = {"spec": {"containers": [{"name": "a", "image": "none"}]}}
    body = {
        "apiVersion": "tidegate.dev/v1alpha1",
        "kind": "Strategy",
        "metadata": {"name": names[0], "namespace": NS},
        # Suspended, so that an operator in this cluster leaves it without a pod.
        "spec": {"suspend": True, "template": template},
    }
    try:
        made = await real_api.create(STRATEGIES, body, NS)
    except NotFound:
        pytest.skip("the CRDs are not installed in this cluster")
    try:
        patched = await real_api.merge_patch(
            STRATEGIES, names[0], NS,
            {"spec": {"suspend": False}, "status": {"phase": "Suspended"}}, subresource="status",
        )  # fmt: skip
        assert patched["status"]["phase"] == "Suspended"
        assert patched["spec"]["suspend"] is True
        assert patched["metadata"]["generation"] == made["metadata"]["generation"]
    finally:
        await real_api.delete(STRATEGIES, names[0], NS)


async def test_an_invalid_object_is_refused_in_words(real_api: KubeApi) -> None:
    with pytest.raises(Invalid, match="containers"):
        body = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}}
        await real_api.create(PODS, body, NS)


async def test_an_informer_sees_changes_and_deletions(real_api: KubeApi, names: list[str]) -> None:
    seen: list[tuple[str, bool]] = []
    informer = Informer(
        api=real_api,
        resource=LEASES,
        clock=time.monotonic,
        random=random.Random(1),
        on_replace=lambda _: None,
        on_change=lambda obj, exists: seen.append((obj["metadata"]["name"], exists)),
        namespace=NS,
        field_selector=f"metadata.name={names[0]}",
    )
    task = asyncio.create_task(informer.run())

    async def until(count: int) -> None:
        async with asyncio.timeout(10):
            while len(seen) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async with asyncio.timeout(10):
        while not informer.synced:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await real_api.create(LEASES, lease(names[0]), NS)
    await real_api.create(LEASES, lease(names[1]), NS)
    await until(1)
    await real_api.delete(LEASES, names[0], NS)
    await until(2)
    task.cancel()
    assert seen == [(names[0], True), (names[0], False)]
