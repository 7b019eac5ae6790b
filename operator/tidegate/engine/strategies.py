"""Strategy reconciliation: a pod that should not be is deleted, the status says what is true."""

from datetime import datetime

from pydantic import ValidationError

from tidegate.api.meta import set_condition
from tidegate.api.strategy import OrphanedBy, StrategyStatus
from tidegate.core.podview import classify_pod
from tidegate.core.strategy import Facts, PodAction, next_status, pod_action
from tidegate.engine import selection
from tidegate.engine.admission import Admission
from tidegate.engine.cache import Object
from tidegate.engine.context import Context
from tidegate.engine.queue import Key
from tidegate.kube.api import DRIFTGATES, PODS, STRATEGIES, Conflict, NotFound
from tidegate.kube.pod import template_hash

# The guard tells of a step's age; a stall is looked for this often.
LOOK_FOR_STALL = 5.0


class StrategyReconciler:
    """`released` holds (namespace, gate) of gates deleted with on-delete: release."""

    def __init__(
        self, context: Context, admission: Admission, released: set[tuple[str, str]]
    ) -> None:
        self.context = context
        self._admission = admission
        self._released = released

    async def reconcile(self, key: Key) -> float | None:
        """Delete a pod that should not be, and write what is true of the strategy."""
        ctx = self.context
        ctx.must_lead()
        obj = ctx.cache.get(STRATEGIES, key.namespace, key.name)
        if obj is None or obj["metadata"].get("deletionTimestamp"):
            self._admission.forget(key.namespace, key.name)
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
        gates = selection.governing(ctx.cache, obj)
        facts = Facts(
            action=self._admission.action(key.namespace, key.name),
            pod=view,
            evidence=received.evidence if received else None,
            evidence_age=ctx.clock.monotonic() - received.at if received else None,
            gates=gates,
            refused=self._admission.refusal(obj["metadata"]),
            outdated=view is not None and view.template_hash != wanted,
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
