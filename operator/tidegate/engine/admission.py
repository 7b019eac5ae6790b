"""Admission of a namespace: plan its queue, create the pods of those that fit."""

import asyncio
import logging
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tidegate.api.strategy import StrategySpec
from tidegate.core import admission
from tidegate.core.demand import pod_demand, unstated
from tidegate.core.podview import classify_pod
from tidegate.core.strategy import PodAction, pod_action
from tidegate.engine import selection
from tidegate.engine.cache import Object
from tidegate.engine.context import Context
from tidegate.engine.queue import Key
from tidegate.kube.api import (
    PODS,
    RESOURCEQUOTAS,
    ROLEBINDINGS,
    STRATEGIES,
    Conflict,
    Forbidden,
    Invalid,
    KubeError,
)
from tidegate.kube.pod import build_pod, guard_rolebinding, template_hash

log = logging.getLogger(__name__)

# Creations of one plan that are under way at a time.
PARALLEL = 8
# Seconds until a pod that could not be created is tried again.
TRY_AGAIN = 1.0


class Admission:
    """`admit` acts; `action` and `refusal` tell a strategy's reconciler what came of it."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self._plans: dict[tuple[str, str], admission.Action] = {}
        # Why the apiserver refused a strategy's pod, for the generation that it refused.
        self._refused: dict[str, tuple[int, str]] = {}
        self._bound: set[str] = set()
        self._queued_at: dict[str, float] = {}

    def action(self, namespace: str, name: str) -> admission.Action | None:
        """What the last plan said of a strategy."""
        return self._plans.get((namespace, name))

    def refusal(self, meta: Object) -> str:
        """Why this generation of a strategy can have no pod; empty when it can."""
        generation, why = self._refused.get(meta["uid"], (-1, ""))
        return why if generation == int(meta.get("generation", 0)) else ""

    def forget(self, namespace: str, name: str) -> None:
        """Of a strategy that is gone."""
        self._plans.pop((namespace, name), None)

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
        slots = asyncio.Semaphore(PARALLEL)

        async def create(name: str) -> bool:
            async with slots:
                return await self._create(waiting[name][0], pods[name])

        done = await asyncio.gather(*(create(name) for name in admitted))
        for name in waiting:
            ctx.add(Key("strategy", namespace, name))
        return None if all(done) else TRY_AGAIN

    def _waiting(self, namespace: str) -> dict[str, tuple[Object, StrategySpec]]:
        """Strategies that want a pod and have none."""
        ctx = self.context
        found = {}
        for obj in ctx.cache.of(STRATEGIES, namespace):
            meta = obj["metadata"]
            if meta.get("deletionTimestamp") or self.refusal(meta):
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
                return self._failed(meta, error)
            self._refuse(meta, error.message)
            return True
        except KubeError as error:
            return self._failed(meta, error)
        ctx.cache.apply(PODS, made)
        ctx.events.record(obj, "Admitted", "room in the quotas was reserved; the pod was created")
        queued = self._queued_at.pop(meta["uid"], None)
        if queued is not None:
            wait = ctx.clock.monotonic() - queued
            ctx.metrics.wait.labels(meta["namespace"]).observe(wait)
        return True

    def _failed(self, meta: Object, error: KubeError) -> bool:
        """The plan said Admit and the apiserver did not: nothing may claim otherwise."""
        namespace, name = meta["namespace"], meta["name"]
        log.warning("pod %s/%s not created: %s", namespace, name, error)
        said = f"its pod could not be created yet: {error.message}"
        self._plans[namespace, name] = admission.Action(name, "Wait", message=said)
        return False

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
