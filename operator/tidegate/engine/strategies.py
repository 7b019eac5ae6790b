"""Strategy reconciliation: admission per namespace, then pod and status per strategy."""

import asyncio
import logging
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tidegate.api.meta import set_condition
from tidegate.api.strategy import OrphanedBy, StrategySpec, StrategyStatus
from tidegate.core import admission
from tidegate.core.demand import pod_demand, unstated
from tidegate.core.podview import classify_pod
from tidegate.core.strategy import Facts, PodAction, next_status, pod_action
from tidegate.engine import selection
from tidegate.engine.cache import Object
from tidegate.engine.context import Context
from tidegate.engine.queue import Key
from tidegate.kube.api import (
    DRIFTGATES,
    PODS,
    RESOURCEQUOTAS,
    ROLEBINDINGS,
    STRATEGIES,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
    NotFound,
)
from tidegate.kube.pod import build_pod, guard_rolebinding, template_hash

log = logging.getLogger(__name__)

# Creations of one plan that are under way at a time.
PARALLEL = 8
# The guard tells of a step's age; a stall is looked for this often.
LOOK_FOR_STALL = 5.0


class StrategyReconciler:
    def __init__(self, context: Context, released: set[tuple[str, str]]) -> None:
        self.context = context
        self._released = released  # (namespace, gate) deleted with on-delete: release
        self._plans: dict[tuple[str, str], admission.Action] = {}
        # Why the apiserver refused a strategy's pod, for the generation that it refused.
        self._refused: dict[str, tuple[int, str]] = {}
        self._bound: set[str] = set()
        self._queued_at: dict[str, float] = {}

    # Admission of a namespace

    async def admit(self, namespace: str) -> float | None:
        """Plan the namespace and create the pods of those that fit."""
        ctx = self.context
        ctx.must_lead()
        waiting = self._waiting(namespace)
        self._count(namespace, waiting)
        if not waiting:
            self._forget_plans(namespace, {})
            return None
        # Read afresh: the apiserver charges a quota when it creates the pod, so what it says now
        # includes every pod of ours, seen by our watch or not.
        listed = await ctx.api.list(RESOURCEQUOTAS, namespace=namespace)
        pending, pods = self._pending(waiting, listed.items)
        actions = admission.plan(
            admission.Snapshot([admission.quota(q) for q in listed.items], pending)
        )
        self._forget_plans(namespace, {action.name: action for action in actions})
        admitted = [action.name for action in actions if action.kind == "Admit"]
        if admitted:
            await self._bind_guards(namespace)
        gate = asyncio.Semaphore(PARALLEL)

        async def create(name: str) -> bool:
            async with gate:
                return await self._create(waiting[name][0], pods[name])

        done = await asyncio.gather(*(create(name) for name in admitted))
        for name in waiting:
            ctx.add(Key("strategy", namespace, name))
        return None if all(done) else 1.0

    def _waiting(self, namespace: str) -> dict[str, tuple[Object, StrategySpec]]:
        """Strategies that want a pod and have none."""
        ctx = self.context
        found = {}
        for obj in ctx.cache.of(STRATEGIES, namespace):
            meta = obj["metadata"]
            refused = self._refused.get(meta["uid"])
            if meta.get("deletionTimestamp") or (
                refused is not None and refused[0] == meta.get("generation")
            ):
                continue
            try:
                spec = selection.strategy_spec(obj)
            except ValidationError:
                continue
            pod = selection.pod_of(ctx.cache, obj)
            view = classify_pod(pod) if pod is not None else None
            wanted = template_hash(spec)
            status = selection.strategy_status(obj)
            action = pod_action(
                spec, status, view, wanted_hash=wanted, generation=meta.get("generation", 0)
            )
            if action is PodAction.CREATE:
                found[meta["name"]] = (obj, spec)
        return found

    def _pending(
        self, waiting: dict[str, tuple[Object, StrategySpec]], quotas: list[Object]
    ) -> tuple[list[admission.Pending], dict[str, Object]]:
        pending, pods = [], {}
        for name, (obj, spec) in waiting.items():
            meta = obj["metadata"]
            try:
                pod = build_pod(meta, spec, self.context.pod)
                demand = pod_demand(pod["spec"])
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                self._refuse(meta, str(error) or type(error).__name__)
                continue
            pods[name] = pod
            pending.append(
                admission.Pending(
                    name=name,
                    priority=spec.priority,
                    created=datetime.fromisoformat(meta["creationTimestamp"]),
                    demand=demand,
                    unstated=unstated(pod["spec"]),
                    quotas=frozenset(
                        q["metadata"]["name"]
                        for q in quotas
                        if admission.applies(q.get("spec") or {}, pod["spec"])
                    ),
                )
            )
        return pending, pods

    def _refuse(self, meta: Object, why: str) -> None:
        self._refused[meta["uid"]] = (int(meta.get("generation", 0)), why)
        self.context.add(Key("strategy", meta["namespace"], meta["name"]))

    async def _create(self, obj: Object, pod: Object) -> bool:
        """Create a planned pod; False when it must be tried again."""
        ctx = self.context
        meta = obj["metadata"]
        ctx.must_lead()
        try:
            made = await ctx.api.create(PODS, pod, meta["namespace"])
        except Conflict:
            # It exists already: made by our predecessor, or an old one still going.
            await ctx.refresh(PODS, meta["namespace"], meta["name"])
            return True
        except Invalid as error:
            self._refuse(meta, error.message)
            return True
        except Forbidden as error:
            if error.namespace_ends:
                return True
            if error.quota_busy or error.unauthorised:
                log.warning("pod %s/%s not created: %s", meta["namespace"], meta["name"], error)
                return False
            self._refuse(meta, error.message)
            return True
        except KubeError as error:
            log.warning("pod %s/%s not created: %s", meta["namespace"], meta["name"], error)
            return False
        ctx.cache.apply(PODS, made)
        ctx.events.record(obj, "Admitted", "room in the quotas was reserved; the pod was created")
        queued = self._queued_at.pop(meta["uid"], None)
        if queued is not None:
            wait = ctx.clock.monotonic() - queued
            ctx.metrics.wait.labels(meta["namespace"]).observe(wait)
        return True

    async def _bind_guards(self, namespace: str) -> None:
        """Let the guards of this namespace read its gates; once in a process is enough."""
        if namespace in self._bound:
            return
        self.context.must_lead()
        try:
            await self.context.api.create(ROLEBINDINGS, guard_rolebinding(namespace), namespace)
        except Conflict as error:
            if not error.already_exists:
                raise
        self._bound.add(namespace)

    def _forget_plans(self, namespace: str, new: dict[str, admission.Action]) -> None:
        for key in [k for k in self._plans if k[0] == namespace and k[1] not in new]:
            del self._plans[key]
        for name, action in new.items():
            self._plans[namespace, name] = action

    def _count(self, namespace: str, waiting: dict[str, Any]) -> None:
        ctx = self.context
        now = ctx.clock.monotonic()
        for obj, _ in waiting.values():
            self._queued_at.setdefault(obj["metadata"]["uid"], now)
        running = [p for p in ctx.cache.of(PODS, namespace) if selection.guard_running(p)]
        ctx.metrics.waiting.labels(namespace).set(len(waiting))
        ctx.metrics.running.labels(namespace).set(len(running))

    # One strategy

    async def reconcile(self, key: Key) -> float | None:
        """Delete a pod that should not be, and write what is true of the strategy."""
        ctx = self.context
        ctx.must_lead()
        obj = ctx.cache.get(STRATEGIES, key.namespace, key.name)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self._plans.pop((key.namespace, key.name), None)
            return None
        generation = int(obj["metadata"].get("generation", 0))
        now = ctx.clock.now()
        status = selection.strategy_status(obj)
        try:
            spec = selection.strategy_spec(obj)
        except ValidationError as error:
            await self._write_invalid(obj, status, selection.first_error(error), generation, now)
            return None
        pod = selection.pod_of(ctx.cache, obj)
        view = classify_pod(pod) if pod is not None else None
        wanted = template_hash(spec)
        action = pod_action(spec, status, view, wanted_hash=wanted, generation=generation)
        if pod is not None and action is PodAction.DELETE:
            await self._delete(pod)
        received = ctx.streams.latest.get(pod["metadata"]["uid"]) if pod is not None else None
        refused = self._refused.get(obj["metadata"]["uid"], (-1, ""))
        gates = selection.governing(ctx.cache, obj)
        facts = Facts(
            action=self._plans.get((key.namespace, key.name)),
            pod=view,
            evidence=received.evidence if received else None,
            evidence_age=ctx.clock.monotonic() - received.at if received else None,
            gates=gates,
            refused=refused[1] if refused[0] == generation else "",
        )
        status = self._orphans(obj, status, gates)
        new = next_status(spec, status, facts, generation=generation, now=now)
        if new.phase != status.phase and new.phase in ("Finished", "Failed"):
            ctx.metrics.completed.labels(key.namespace, new.phase).inc()
        await ctx.write_status(STRATEGIES, obj, new.dump())
        return LOOK_FOR_STALL if new.phase in ("Running", "Stalled") else None

    def _orphans(
        self, obj: Object, status: StrategyStatus, gates: tuple[str, ...]
    ) -> StrategyStatus:
        """Gates that governed this strategy and are gone; one made anew takes over again."""
        namespace = obj["metadata"]["namespace"]
        cache = self.context.cache
        kept = {
            o.gate: o
            for o in status.orphaned_by
            if cache.get(DRIFTGATES, namespace, o.gate) is None
        }
        for gate in status.permit.gates if status.permit else ():
            if gate in gates or gate in kept or cache.get(DRIFTGATES, namespace, gate) is not None:
                continue
            released = (namespace, gate) in self._released
            kept[gate] = OrphanedBy(gate=gate, on_delete="Release" if released else "Halt")
        return status.model_copy(update={"orphaned_by": tuple(kept.values())})

    async def _delete(self, pod: Object) -> None:
        meta = pod["metadata"]
        self.context.must_lead()
        try:
            await self.context.api.delete(PODS, meta["name"], meta["namespace"], uid=meta["uid"])
        except (NotFound, Conflict):
            await self.context.refresh(PODS, meta["namespace"], meta["name"])

    async def _write_invalid(
        self, obj: Object, status: StrategyStatus, message: str, generation: int, now: datetime
    ) -> None:
        conditions = set_condition(
            status.conditions, type="Admitted", status=False, reason="InvalidSpec",
            message=message, generation=generation, now=now,
        )  # fmt: skip
        new = status.model_copy(update={"phase": "Failed", "conditions": conditions})
        await self.context.write_status(STRATEGIES, obj, new.dump())
