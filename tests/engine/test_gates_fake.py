"""Gate reconciliation against a FAKE apiserver: every fault between record and status."""

from typing import Any

import pytest
from engine_world import World

from tidegate.api.transition import GateTransitionSpec
from tidegate.core import audit
from tidegate.engine.context import NotLeading
from tidegate.engine.gates import GateReconciler
from tidegate.engine.queue import Key
from tidegate.kube.api import (
    DRIFTGATES,
    GATETRANSITIONS,
    Conflict,
    KubeError,
    Resource,
    Unavailable,
)

KEY = Key("gate", "ns", "g")
STOP = {"emergencyStop": {"reason": "stop", "by": "carol"}}


async def put(world: World, **spec: Any) -> None:
    """Create or change the gate, as a user does, and tell the cache."""
    try:
        old = await world.api.get(DRIFTGATES, "g", "ns")
        obj = await world.api.merge_patch(DRIFTGATES, "g", "ns", {"spec": spec})
        assert old["metadata"]["uid"] == obj["metadata"]["uid"]
    except KubeError:
        body = {"kind": "DriftGate", "metadata": {"name": "g"}, "spec": spec}
        obj = await world.api.create(DRIFTGATES, body, "ns")
    world.context.cache.apply(DRIFTGATES, obj)


async def chain(world: World) -> list[GateTransitionSpec]:
    listed = await world.api.list(GATETRANSITIONS, namespace="ns")
    records = [GateTransitionSpec.model_validate(o["spec"]) for o in listed.items]
    return sorted(records, key=lambda r: r.sequence)


async def status(world: World) -> dict[str, Any]:
    return dict((await world.api.get(DRIFTGATES, "g", "ns")).get("status") or {})


async def test_the_record_is_written_before_the_status_it_explains(world: World) -> None:
    await put(world)
    await GateReconciler(world.context).reconcile(KEY)
    writes = [w for w in world.api.order if w[0] in ("create", "patch status")]
    assert [w[:2] for w in writes[1:3]] == [
        ("create", "gatetransitions"), ("patch status", "driftgates"),
    ]  # fmt: skip
    assert (await status(world))["sequence"] == 1


async def test_nothing_new_is_nothing_written(world: World) -> None:
    await put(world)
    gates = GateReconciler(world.context)
    await gates.reconcile(KEY)
    before = world.api.calls.copy()
    for _ in range(5):
        await gates.reconcile(KEY)
    assert world.api.calls == before


@pytest.mark.parametrize("verb", ["create", "patch status"])
async def test_a_fault_at_any_write_loses_and_doubles_nothing(world: World, verb: str) -> None:
    await put(world)
    gates = GateReconciler(world.context)
    await gates.reconcile(KEY)
    await put(world, **STOP)
    failed: list[str] = []

    def fault(asked: str, resource: Resource, _: str) -> KubeError | None:
        if asked == verb and resource in (GATETRANSITIONS, DRIFTGATES) and len(failed) < 3:
            failed.append(asked)
            return Unavailable(503, "ServiceUnavailable", "away")
        return None

    world.api.fault = fault
    for _ in range(3):
        with pytest.raises(Unavailable):
            await gates.reconcile(KEY)
    await gates.reconcile(KEY)
    records = await chain(world)
    assert [(r.sequence, r.to_state) for r in records] == [(1, "Calibrating"), (2, "Stopped")]
    assert audit.verify(records) == []
    assert (await status(world))["state"] == "Stopped"
    assert (await status(world))["recordHash"] == records[-1].hash


async def test_a_record_left_by_a_dead_leader_holds_whatever_its_successor_thinks(
    world: World,
) -> None:
    await put(world)
    first = GateReconciler(world.context)
    await first.reconcile(KEY)
    await put(world, **STOP)
    world.api.fault = lambda verb, *_: (
        Unavailable(0, "ConnectionFailed", "died") if verb == "patch status" else None
    )
    with pytest.raises(Unavailable):
        await first.reconcile(KEY)
    world.api.fault = lambda *_: None
    # The stop is withdrawn before the successor looks: it was recorded, so it happened.
    await put(world, emergencyStop=None)
    world.context.term += 1
    await GateReconciler(world.context).reconcile(KEY)
    assert (await status(world))["state"] == "Stopped"
    assert [r.to_state for r in await chain(world)] == ["Calibrating", "Stopped"]


@pytest.mark.parametrize("hook", ["fault", "lost"])
async def test_what_was_recorded_holds_in_the_same_term_too(world: World, hook: str) -> None:
    """The status write fails, or the record's own answer is lost; then the cause goes away."""
    await put(world)
    gates = GateReconciler(world.context)
    await gates.reconcile(KEY)
    await put(world, **STOP)
    verb = {"fault": "patch status", "lost": "create"}[hook]
    away = Unavailable(0, "Timeout", "no answer")
    setattr(world.api, hook, lambda asked, *_: away if asked == verb else None)
    with pytest.raises(Unavailable):
        await gates.reconcile(KEY)
    setattr(world.api, hook, lambda *_: None)
    await put(world, emergencyStop=None)
    await gates.reconcile(KEY)
    assert (await status(world))["state"] == "Stopped"
    assert [r.to_state for r in await chain(world)] == ["Calibrating", "Stopped"]


async def test_a_release_is_not_inherited_by_a_later_gate_of_that_name(world: World) -> None:
    await put(world)
    obj = await world.api.get(DRIFTGATES, "g", "ns")
    gates = GateReconciler(world.context)
    gates.deleted(obj, release=True)
    assert ("ns", "g") in gates.released
    gates.deleted(obj, release=False)
    assert ("ns", "g") not in gates.released


async def test_a_gate_made_anew_continues_the_chain_and_not_the_state(world: World) -> None:
    await put(world)
    gates = GateReconciler(world.context)
    await gates.reconcile(KEY)
    await put(world, **STOP)
    await gates.reconcile(KEY)
    old = await world.api.get(DRIFTGATES, "g", "ns")
    await world.api.delete(DRIFTGATES, "g", "ns")
    world.context.cache.remove(DRIFTGATES, old)
    # Nobody saw the deletion: no record of it exists.
    await put(world)
    world.context.term += 1
    await GateReconciler(world.context).reconcile(KEY)
    records = await chain(world)
    assert [(r.sequence, r.to_state) for r in records] == [
        (1, "Calibrating"), (2, "Stopped"), (3, "Calibrating"),
    ]  # fmt: skip
    assert audit.verify(records) == []


async def test_a_deletion_is_the_chain_s_last_record_and_written_once(world: World) -> None:
    await put(world)
    gates = GateReconciler(world.context)
    await gates.reconcile(KEY)
    obj = await world.api.get(DRIFTGATES, "g", "ns")
    await world.api.delete(DRIFTGATES, "g", "ns")
    world.context.cache.remove(DRIFTGATES, obj)
    standby = GateReconciler(world.context)
    for one in (gates, standby):
        one.deleted(obj, release=False)
        await one.reconcile(KEY)
    assert [r.to_state for r in await chain(world)] == ["Calibrating", "Deleted"]


async def test_a_conflict_refreshes_the_cache_and_comes_back(world: World) -> None:
    await put(world)
    gates = GateReconciler(world.context)
    # Somebody changes the gate behind the cache's back.
    await world.api.merge_patch(DRIFTGATES, "g", "ns", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        await gates.reconcile(KEY)
    await gates.reconcile(KEY)
    assert (await status(world))["sequence"] == 1
    assert len(await chain(world)) == 1


async def test_a_replica_that_does_not_lead_writes_nothing(world: World) -> None:
    await put(world)
    world.leads = False
    with pytest.raises(NotLeading):
        await GateReconciler(world.context).reconcile(KEY)
    assert world.api.calls["create", "gatetransitions"] == 0


async def test_a_spec_that_can_t_be_read_is_named_in_the_status(world: World) -> None:
    await put(world, signals="none")
    await GateReconciler(world.context).reconcile(KEY)
    found = await status(world)
    assert found["reason"] == "InvalidSpec"
    assert "signals" in found["message"]
