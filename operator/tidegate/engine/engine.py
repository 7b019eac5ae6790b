"""The engine: events in, reconciliations out, writes only while leading."""

import asyncio
import logging
import random
from collections.abc import Iterable
from typing import Any

import aiohttp

from tidegate.api.meta import ANNOTATION_ON_DELETE, LEADER_LEASE, ON_DELETE_RELEASE
from tidegate.api.wire import Evidence
from tidegate.engine import selection
from tidegate.engine.admission import Admission
from tidegate.engine.cache import Cache
from tidegate.engine.clock import Clock
from tidegate.engine.context import Context, NotLeading
from tidegate.engine.gates import GateReconciler
from tidegate.engine.heartbeat import Heartbeat
from tidegate.engine.leader import Elector
from tidegate.engine.metrics import Metrics
from tidegate.engine.queue import Key, WorkQueue
from tidegate.engine.resync import Resync
from tidegate.engine.strategies import StrategyReconciler
from tidegate.evidence.guards import GuardStreams, Target
from tidegate.kube.api import (
    DRIFTGATES,
    PODS,
    RESOURCEQUOTAS,
    STRATEGIES,
    Forbidden,
    KubeApi,
    Resource,
)
from tidegate.kube.events import EventRecorder
from tidegate.kube.pod import PodSettings

log = logging.getLogger(__name__)

WATCHED = (STRATEGIES, DRIFTGATES, PODS, RESOURCEQUOTAS)
# A loop that was late by this much serves nobody: the kubelet should start us anew.
MOST_LAG = 5.0
# Seconds until what lives in a namespace that is being deleted is looked at again.
ENDING_AGAIN = 5.0


class Engine:
    """`start`, feed with `on_event`, `stop`."""

    def __init__(
        self,
        *,
        api: KubeApi,
        session: aiohttp.ClientSession,
        namespace: str,
        identity: str,
        pod: PodSettings,
    ) -> None:
        clock = Clock()
        # Jitter, not secrets.
        jitter = random.Random()  # noqa: S311
        self.cache = Cache()
        self.metrics = Metrics()
        self.queue = WorkQueue(self._reconcile, clock.monotonic, jitter)
        self.streams = GuardStreams(session, clock.monotonic, jitter, self._on_evidence)
        self.elector = Elector(
            api=api,
            namespace=namespace,
            name=LEADER_LEASE,
            identity=identity,
            clock=clock.monotonic,
            now=clock.now,
            on_started=self._on_leading,
            on_stopped=self._on_not_leading,
        )
        self.context = Context(
            api=api,
            cache=self.cache,
            clock=clock,
            metrics=self.metrics,
            streams=self.streams,
            events=EventRecorder(api, clock.now, component="tidegate-operator", instance=identity),
            pod=pod,
            leading=self.elector.leading,
            add=self.queue.add,
            random=jitter,
        )
        self.gates = GateReconciler(self.context)
        self.admission = Admission(self.context)
        self.strategies = StrategyReconciler(self.context, self.admission, self.gates.released)
        self.heartbeat = Heartbeat(
            api=api,
            namespace=namespace,
            identity=identity,
            clock=clock.monotonic,
            now=clock.now,
            gates=self._gate_keys,
            add=self.queue.add,
            leading=self.elector.leading,
        )
        self.resync = Resync(api, self.cache, WATCHED, jitter, self._on_deleted, self._on_synced)
        self._tasks: list[asyncio.Task[None]] = []
        self.synced = asyncio.Event()
        self._beat = clock.monotonic()
        self.clock = clock

    async def start(self) -> None:
        """Begin to list, elect and work; returns at once."""
        for name, run in (
            ("resync", self.resync.run),
            ("leader", self._lead_when_synced),
            ("queue", self.queue.run),
            ("heartbeat", self.heartbeat.run),
            ("lag", self._measure_lag),
        ):
            self._tasks.append(asyncio.create_task(run(), name=name))

    async def stop(self) -> None:
        """Hand over leadership and end every task."""
        self.queue.pause()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.streams.close()

    def failed(self) -> str:
        """ "" while every task runs and the loop keeps time, else what is wrong (liveness)."""
        for task in self._tasks:
            if task.done():
                return f"task {task.get_name()} ended: {task.exception() or 'cancelled'}"
        lag = self.clock.monotonic() - self._beat - 1.0
        return f"event loop is {lag:.1f} s late" if lag > MOST_LAG else ""

    def not_ready(self) -> str:
        """ "" once the first full list is in (readiness: both replicas are ready)."""
        return "" if self.synced.is_set() else "the first full list of objects is not done"

    # Events

    def on_event(self, resource: Resource, kind: str | None, obj: dict[str, Any]) -> None:
        """Take one watch event; `kind` is None for the initial list."""
        obj["metadata"].pop("managedFields", None)
        if kind == "DELETED":
            if self.cache.remove(resource, obj):
                self._on_deleted(resource, obj)
        elif self.cache.apply(resource, obj):
            self._enqueue(resource, obj)

    def _on_deleted(self, resource: Resource, obj: dict[str, Any]) -> None:
        if resource is DRIFTGATES:
            annotations = obj["metadata"].get("annotations") or {}
            release = annotations.get(ANNOTATION_ON_DELETE) == ON_DELETE_RELEASE
            self.queue.add(self.gates.deleted(obj, release))
        self._enqueue(resource, obj)

    def _enqueue(self, resource: Resource, obj: dict[str, Any]) -> None:
        namespace, name = obj["metadata"]["namespace"], obj["metadata"]["name"]
        if resource is DRIFTGATES:
            self.queue.add(Key("gate", namespace, name))
            self._enqueue_strategies(namespace)
        elif resource is RESOURCEQUOTAS:
            self.queue.add(Key("admission", namespace))
        elif resource in (STRATEGIES, PODS):
            self.queue.add(Key("strategy", namespace, name))
            self.queue.add(Key("admission", namespace))
            self._enqueue_gates(namespace)
        if resource is PODS:
            self._aim()

    def _enqueue_strategies(self, namespace: str) -> None:
        for strategy in self.cache.of(STRATEGIES, namespace):
            self.queue.add(Key("strategy", namespace, strategy["metadata"]["name"]))

    def _enqueue_gates(self, namespace: str) -> None:
        for gate in self.cache.of(DRIFTGATES, namespace):
            self.queue.add(Key("gate", namespace, gate["metadata"]["name"]))

    def _on_evidence(self, target: Target, evidence: Evidence) -> None:
        for gate in evidence.gates:
            self.queue.add(Key("gate", target.namespace, gate.gate))
        self.queue.add(Key("strategy", target.namespace, target.strategy))

    def _on_synced(self) -> None:
        self.synced.set()
        self._enqueue_all()

    def _enqueue_all(self) -> None:
        for key in self._gate_keys():
            self.queue.add(key)
        for namespace in self.cache.namespaces(STRATEGIES):
            self._enqueue_strategies(namespace)
            self.queue.add(Key("admission", namespace))

    def _gate_keys(self) -> Iterable[Key]:
        return [
            Key("gate", gate["metadata"]["namespace"], gate["metadata"]["name"])
            for gate in self.cache.all(DRIFTGATES)
        ]

    # Evidence

    def _aim(self) -> None:
        """Read the guards of all running pods while leading; none otherwise."""
        if not self.elector.leading():
            return
        pods = list(self.cache.all(PODS))
        now = self.clock.monotonic()
        uids = {pod["metadata"]["uid"] for pod in pods}
        for pod in pods:
            if selection.guard_running(pod):
                self.context.guard_seen.setdefault(pod["metadata"]["uid"], now)
        for uid in self.context.guard_seen.keys() - uids:
            del self.context.guard_seen[uid]
        targets = (selection.target(pod) for pod in pods)
        self.streams.aim(target for target in targets if target is not None)

    # Leadership

    async def _lead_when_synced(self) -> None:
        await self.synced.wait()
        await self.elector.run()

    def _on_leading(self) -> None:
        self.context.term += 1
        self.context.led_since = self.clock.monotonic()
        self.context.guard_seen.clear()
        self.metrics.leader.set(1)
        self.queue.enabled = True
        self._aim()
        self._enqueue_all()
        for key in self.gates.pending_deletions():
            self.queue.add(key)

    def _on_not_leading(self) -> None:
        self.queue.pause()
        self.streams.aim(())
        self.metrics.leader.set(0)
        self.metrics.forget_all()

    async def _reconcile(self, key: Key) -> float | None:
        began = self.clock.monotonic()
        try:
            if key.kind == "gate":
                after = await self.gates.reconcile(key)
                self.heartbeat.done(key, began)
            elif key.kind == "admission":
                after = await self.admission.admit(key.namespace)
            else:
                after = await self.strategies.reconcile(key)
        except NotLeading:
            return None
        except Forbidden as error:
            if not error.namespace_ends:
                self.metrics.reconciles.labels(key.kind, "error").inc()
                raise
            # Its pods are being deleted and no record can be written: it must not hold back the
            # heartbeat, and with it every other desk.
            self.heartbeat.done(key, began)
            return ENDING_AGAIN
        except Exception:
            self.metrics.reconciles.labels(key.kind, "error").inc()
            raise
        self.metrics.reconciles.labels(key.kind, "ok").inc()
        return after

    async def _measure_lag(self) -> None:
        while True:
            due = self.clock.monotonic() + 0.5
            await asyncio.sleep(0.5)
            self._beat = self.clock.monotonic()
            self.metrics.loop_lag.set(max(0.0, self._beat - due))
            self.metrics.queue_keys.set(self.queue.depth())
