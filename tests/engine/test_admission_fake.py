"""Admission against a FAKE apiserver: what refuses a pod, and what is said of it."""

from typing import Any

import pytest
from engine_world import World

from tidegate.engine.admission import Admission
from tidegate.engine.queue import Key
from tidegate.engine.strategies import StrategyReconciler
from tidegate.kube.api import (
    PODS,
    STRATEGIES,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    Unavailable,
)

SPEC = {"mode": "Live", "template": {"spec": {"containers": [{"name": "a", "image": "i"}]}}}


async def put(world: World, name: str = "s", **spec: Any) -> dict[str, Any]:
    meta = {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"}
    body = {"kind": "Strategy", "metadata": meta, "spec": {**SPEC, **spec}}
    obj = await world.api.create(STRATEGIES, body, "ns")
    world.context.cache.apply(STRATEGIES, obj)
    return obj


async def turn(world: World, admission: Admission) -> dict[str, Any]:
    """One round of admission and status; returns the status."""
    await admission.admit("ns")
    await StrategyReconciler(world.context, admission, set()).reconcile(Key("strategy", "ns", "s"))
    return dict((await world.api.get(STRATEGIES, "s", "ns"))["status"])


def refuse(world: World, error: KubeError | None) -> None:
    world.api.fault = lambda verb, resource, _: (
        error if verb == "create" and resource is PODS else None
    )


def said(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    found = next(c for c in status["conditions"] if c["type"] == kind)
    return found["status"], found["reason"], found["message"]


async def test_a_pod_is_created_once_and_guards_are_bound_before(world: World) -> None:
    await put(world)
    admission = Admission(world.context)
    for _ in range(3):
        await turn(world, admission)
    created = [what for what in world.api.order if what[0] == "create"][1:]
    assert [c[1] for c in created if c[1] != "events"] == ["rolebindings", "pods"]


@pytest.mark.parametrize(
    "error",
    [
        Forbidden(403, "Forbidden", 'pods "s" is forbidden: exceeded quota: desk-a'),
        Forbidden(403, "Forbidden", 'pods "s" is forbidden: status unknown for quota: desk-a'),
        Unavailable(503, "ServiceUnavailable", "away"),
    ],
)
async def test_what_may_pass_is_tried_again_and_never_called_created(
    world: World, error: KubeError
) -> None:
    await put(world)
    admission = Admission(world.context)
    refuse(world, error)
    status = await turn(world, admission)
    assert status["phase"] == "Queued"
    assert said(status, "Admitted")[0] == "False"
    assert error.message in said(status, "QuotaReserved")[2]
    assert await admission.admit("ns") is not None
    refuse(world, None)
    assert (await turn(world, admission))["phase"] == "Admitted"


@pytest.mark.parametrize(
    "error",
    [
        Invalid(422, "Invalid", "spec.containers[0].image: Required value"),
        Forbidden(403, "Forbidden", 'violates PodSecurity "restricted:latest"'),
    ],
)
async def test_what_stays_wrong_fails_in_the_apiserver_s_words_until_the_spec_changes(
    world: World, error: KubeError
) -> None:
    obj = await put(world)
    admission = Admission(world.context)
    refuse(world, error)
    await admission.admit("ns")
    status = await turn(world, admission)
    assert status["phase"] == "Failed"
    assert said(status, "Admitted")[1:] == ("TemplateRefused", error.message)
    assert world.api.calls["create", "pods"] == 1
    refuse(world, None)
    changed = await world.api.merge_patch(
        STRATEGIES, "s", "ns", {"metadata": {"generation": obj["metadata"]["generation"] + 1}}
    )
    world.context.cache.apply(STRATEGIES, changed)
    assert (await turn(world, admission))["phase"] == "Admitted"


async def test_a_pod_that_exists_already_is_taken_for_what_it_is(world: World) -> None:
    await put(world)
    pod = {"metadata": {"name": "s"}, "status": {"phase": "Pending"}}
    await world.api.create(PODS, pod, "ns")
    admission = Admission(world.context)
    await admission.admit("ns")
    assert world.context.cache.get(PODS, "ns", "s") is not None
    assert world.api.calls["create", "pods"] == 2


async def test_a_conflict_of_two_writers_is_left_to_the_next_try(world: World) -> None:
    await put(world)
    admission = Admission(world.context)
    await admission.admit("ns")
    await world.api.merge_patch(STRATEGIES, "s", "ns", {"metadata": {"labels": {"a": "b"}}})
    strategies = StrategyReconciler(world.context, admission, set())
    with pytest.raises(Conflict):
        await strategies.reconcile(Key("strategy", "ns", "s"))
    await strategies.reconcile(Key("strategy", "ns", "s"))
    obj = await world.api.get(STRATEGIES, "s", "ns")
    assert obj["status"]["phase"] == "Admitted"
