"""DriftGate reconciliation: observe, decide, write the record, write the status."""

import logging
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus
from tidegate.api.meta import API_VERSION, LABEL_GATE, set_condition
from tidegate.api.transition import GateTransitionSpec
from tidegate.core import audit, gate
from tidegate.engine import selection
from tidegate.engine.cache import Object
from tidegate.engine.context import Context
from tidegate.engine.gate_metrics import export, export_transition
from tidegate.engine.queue import Key
from tidegate.kube.api import DRIFTGATES, GATETRANSITIONS, Conflict, Forbidden, NotFound

log = logging.getLogger(__name__)

# Status writes that only tell newer scores: at most one in this many seconds and gate.
QUIET_WRITE_EVERY = 2.0
_QUIET = {"drift_score", "signals"}
# More than a gate can do in one reconciliation unless two writers fight.
MOST_TRANSITIONS = 8


def _adopt(uid: str, status: DriftGateStatus, record: GateTransitionSpec) -> DriftGateStatus:
    """What `record` says, for a status of the gate `uid` that does not know it yet.

    A record of another gate of that name, or Deleted, ends a life: this gate begins anew, halted,
    and continues the chain.
    """
    if record.to_state == "Deleted" or record.gate_uid != uid:
        return DriftGateStatus(sequence=record.sequence, record_hash=record.hash)
    return audit.adopt(status, record)


class GateReconciler:
    def __init__(self, context: Context) -> None:
        self.context = context
        self._checked: dict[str, int] = {}  # gate uid: term in which its next record was looked up
        self._wrote: dict[Key, float] = {}
        self._deleted: dict[Key, Object] = {}
        self.released: set[tuple[str, str]] = set()

    async def reconcile(self, key: Key) -> float | None:
        """Bring one gate up to date. Raises KubeError for the queue to retry."""
        self.context.must_lead()
        obj = self.context.cache.get(DRIFTGATES, key.namespace, key.name)
        gone = self._deleted.get(key)
        if gone is not None:
            try:
                await self._record_deletion(gone)
            except (Forbidden, NotFound) as error:
                if isinstance(error, Forbidden) and not error.namespace_ends:
                    raise
                # Its namespace goes, and takes the chain along.
                log.info("gate %s/%s: no last record: %s", key.namespace, key.name, error)
            del self._deleted[key]
        if obj is None:
            self.context.metrics.forget_gate(key.namespace, key.name)
            return None
        try:
            spec = selection.gate_spec(obj)
        except ValidationError as error:
            await self._refuse(obj, selection.first_error(error))
            return None
        return await self._advance(key, obj, spec)

    def deleted(self, obj: Object, release: bool) -> Key:
        """Remember a deleted gate until its last record is written."""
        meta = obj["metadata"]
        key = Key("gate", meta["namespace"], meta["name"])
        self._deleted[key] = obj
        if release:
            self.released.add((key.namespace, key.name))
        else:
            # An earlier gate of that name may have been released; this one was not.
            self.released.discard((key.namespace, key.name))
        return key

    def pending_deletions(self) -> list[Key]:
        """Deleted gates whose last record a new leader still has to see written."""
        return list(self._deleted)

    async def _advance(self, key: Key, obj: Object, spec: DriftGateSpec) -> float | None:
        ctx = self.context
        status = await self._settled(obj, selection.gate_status(obj))
        for _ in range(MOST_TRANSITIONS):
            observed = self._observe(obj, spec)
            now = ctx.clock.now()
            generation = int(obj["metadata"].get("generation", 0))
            decision = gate.decide(spec, status, observed, now, generation=generation)
            if decision.transition is None:
                status = decision.status
                obj = await self._write(key, obj, status, quiet=True)
                export(ctx, key, spec, status, observed)
                return decision.requeue_after
            # Until the status is written too, how far the chain has come is not certain: whatever
            # fails from here on, the next try looks first.
            self._checked.pop(obj["metadata"]["uid"], None)
            record = await self._record(obj, status, decision.transition, now)
            if record is None:
                # The record exists already: what it says happened, whatever we think now.
                status = await self._settled(obj, status, look=True)
            else:
                status = decision.status.model_copy(update={"record_hash": record.hash})
            obj = await self._write(key, obj, status, quiet=False)
            self._checked[obj["metadata"]["uid"]] = ctx.term
            if record is not None:
                export_transition(ctx, key, record)
                self._tell(obj, record)
        return 0.0

    async def _settled(
        self, obj: Object, status: DriftGateStatus, *, look: bool = False
    ) -> DriftGateStatus:
        """`status` brought up to the last record that exists.

        A writer that died between record and status leaves a record that the status does not know.
        So each gate's next record is looked up once in a term of leadership, and after a 409.
        """
        ctx = self.context
        meta = obj["metadata"]
        if not look and self._checked.get(meta["uid"]) == ctx.term:
            return status
        if status.state is None and status.sequence == 0:
            status = await self._resume_chain(meta, status)
        while True:
            name = f"{meta['name']}-{status.sequence + 1}"
            try:
                found = await ctx.api.get(GATETRANSITIONS, name, meta["namespace"])
            except NotFound:
                break
            log.info("gate %s/%s adopts its record %s", meta["namespace"], meta["name"], name)
            record = GateTransitionSpec.model_validate(found["spec"])
            status = _adopt(meta["uid"], status, record)
        self._checked[meta["uid"]] = ctx.term
        return status

    async def _resume_chain(self, meta: Object, status: DriftGateStatus) -> DriftGateStatus:
        """A gate made anew under an old name continues the old gate's chain."""
        namespace, name, uid = meta["namespace"], meta["name"], meta["uid"]
        listed = await self.context.api.list(
            GATETRANSITIONS, namespace=namespace, label_selector=f"{LABEL_GATE}={name}"
        )
        last = max(listed.items, key=lambda o: int(o["spec"]["sequence"]), default=None)
        if last is None:
            return status
        return _adopt(uid, status, GateTransitionSpec.model_validate(last["spec"]))

    def _observe(self, obj: Object, spec: DriftGateSpec) -> gate.Observation:
        ctx = self.context
        name, namespace = obj["metadata"]["name"], obj["metadata"]["namespace"]
        clock = ctx.clock.monotonic()
        strategies = selection.selected(ctx.cache, namespace, spec)
        found = []
        for strategy in strategies:
            pod = selection.pod_of(ctx.cache, strategy)
            if pod is None or strategy["spec"].get("mode") != "Live":
                continue
            if not selection.has_guard_ever(pod):
                continue
            uid = pod["metadata"]["uid"]
            seen = ctx.guard_seen.setdefault(uid, clock)
            received = ctx.streams.latest.get(uid)
            found.append(
                gate.StrategyEvidence(
                    strategy=strategy["metadata"]["name"],
                    connected=received is not None,
                    age=None if received is None else clock - received.at,
                    pod_age=clock - seen,
                    evidence=None
                    if received is None
                    else next((g for g in received.evidence.gates if g.gate == name), None),
                )
            )
        return gate.Observation(
            strategies=tuple(found),
            selected=len(strategies),
            observing_for=clock - ctx.led_since,
        )

    async def _record(
        self, obj: Object, status: DriftGateStatus, transition: gate.Transition, now: datetime
    ) -> GateTransitionSpec | None:
        """Write the audit record; None when one of that number exists already."""
        ctx = self.context
        meta = obj["metadata"]
        record = audit.record(
            transition,
            gate=meta["name"],
            uid=meta["uid"],
            previous_hash=status.record_hash,
            observed=transition.trigger_at or now,
            decided=now,
            written=ctx.clock.now(),
        )
        ctx.must_lead()
        body: dict[str, Any] = {
            "apiVersion": API_VERSION,
            "kind": "GateTransition",
            "metadata": {
                "name": f"{meta['name']}-{record.sequence}",
                "namespace": meta["namespace"],
                "labels": {LABEL_GATE: meta["name"]},
            },
            "spec": record.dump(),
        }
        try:
            await ctx.api.create(GATETRANSITIONS, body, meta["namespace"])
        except Conflict:
            return None
        ctx.metrics.gate_audit.labels(meta["namespace"], meta["name"]).inc()
        return record

    async def _write(
        self, key: Key, obj: Object, status: DriftGateStatus, *, quiet: bool
    ) -> Object:
        ctx = self.context
        old = selection.gate_status(obj)
        if quiet and old.model_dump(exclude=_QUIET) == status.model_dump(exclude=_QUIET):
            if old == status:
                return obj
            due = self._wrote.get(key, 0.0) + QUIET_WRITE_EVERY
            if ctx.clock.monotonic() < due:
                return obj
        new = await ctx.write_status(DRIFTGATES, obj, status.dump())
        self._wrote[key] = ctx.clock.monotonic()
        return new

    def _tell(self, obj: Object, record: GateTransitionSpec) -> None:
        warning = record.to_state in ("Suspended", "Stopped")
        note = f"{record.from_state} -> {record.to_state} {record.allocation_percent}%"
        self.context.events.record(obj, record.reason, f"{note}: {record.message}", warning=warning)
        log.info(
            "gate %s/%s %s (%s by %s)", obj["metadata"]["namespace"], record.gate, note,
            record.reason, record.actor,
        )  # fmt: skip

    async def _refuse(self, obj: Object, message: str) -> None:
        """A spec that the models can't read although the apiserver stored it: say so, stay shut.

        The stored status may say Open: guards don't know this gate's spec either and halt, but the
        status must not claim what is not so. The chain gets its record by the ordinary way as soon
        as the spec can be read.
        """
        status = selection.gate_status(obj)
        status = status.model_copy(
            update={
                "message": message,
                "reason": "InvalidSpec",
                "conditions": set_condition(
                    status.conditions,
                    type="Ready",
                    status=False,
                    reason="InvalidSpec",
                    message=message,
                    generation=int(obj["metadata"].get("generation", 0)),
                    now=self.context.clock.now(),
                ),
            }
        )
        await self.context.write_status(DRIFTGATES, obj, status.dump())

    async def _record_deletion(self, obj: Object) -> None:
        """The chain's last record: from here on its strategies halt, or are released."""
        meta = obj["metadata"]
        status = await self._settled(obj, selection.gate_status(obj), look=True)
        release = (meta["namespace"], meta["name"]) in self.released
        if status.state is None:
            return
        word = "are released" if release else "stay halted"
        transition = gate.Transition(
            from_state=status.state,
            to_state="Deleted",
            from_allocation=status.allocation_percent,
            allocation=100 if release else 0,
            reason="GateDeleted",
            message=f"the gate was deleted; its strategies {word}",
            actor="operator",
            sequence=status.sequence + 1,
        )
        await self._record(obj, status, transition, self.context.clock.now())
