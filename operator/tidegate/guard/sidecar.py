"""The guard's state and decisions: everything but sockets, HTTP and the API.

Reports and objects come in, the permit goes out at once whenever any of them changes it. No input
raises: what can't be understood is a fault, and a fault never opens a permit.
"""

import logging
import math
import os
import time
from collections.abc import Callable
from typing import Any

from tidegate.api import permit as record
from tidegate.api.permit import Permit
from tidegate.api.wire import (
    Evidence,
    Fault,
    GateEvidence,
    PermitEvidence,
    Probe,
    Quote,
    Report,
    Step,
    decode_reports,
)
from tidegate.core.drift import Reference, ReferenceLearner
from tidegate.guard.activity import Activity
from tidegate.guard.config import GuardConfig
from tidegate.guard.gatewatch import GateWatch
from tidegate.guard.governing import Gate, Governing
from tidegate.guard.health import Health
from tidegate.guard.heartbeat import HeartbeatSeen
from tidegate.guard.pairing import AckPair, Pair, Pairing, Problem
from tidegate.guard.references import ReferenceStore
from tidegate.guard.signals import Residual, of_acks, of_pair, of_probe, of_quote
from tidegate.guard.verdict import NS, Knowledge, Verdict, judge, stale_after_ns

log = logging.getLogger(__name__)

REFRESH_EVERY = 0.2
# The least time a permit lives without this process: what a strategy may still do after SIGKILL.
PERMIT_LIFE = 1.0
# Seconds, beside those that any fault is told: the operator's connection may take two to come back.
RESTART_TOLD = 3


class Sidecar:
    """`publish` writes the permit; `on_change` is called when a reader must know at once.

    `clock` is CLOCK_MONOTONIC in ns, `wall` seconds since the epoch.
    """

    def __init__(
        self,
        config: GuardConfig,
        store: ReferenceStore,
        publish: Callable[[Permit], None],
        *,
        on_change: Callable[[], None] = lambda: None,
        clock: Callable[[], int] = time.monotonic_ns,
        wall: Callable[[], float] = time.time,
    ) -> None:
        now = clock()
        self._config = config
        self._store = store
        self._publish = publish
        self.on_change = on_change
        self._clock = clock
        self._wall = wall
        self._boot = f"{int(wall() * 1000):x}-{os.getpid():x}"
        self._seq = 0
        self._permits = 0
        self._verdict: Verdict | None = None
        self._since = wall()
        self._shown: object = None
        self._faults: dict[str, tuple[Fault, ...]] = {}
        self._urgent = False  # a fault began that the permit does not know yet
        self._listed_once: set[str] = set()
        self._listed: set[tuple[str, str]] = set()
        self.refreshed = now
        self.pairing = Pairing()
        self.health = Health(now)
        self.heartbeat = HeartbeatSeen()
        self.activity = Activity()
        self.faults_total: dict[tuple[str, str], int] = {}
        self.governing = Governing(
            config.strategy, paper=config.paper, saved=store.get, warm_up=int(config.warm_up * NS)
        )

    def restarted(self) -> None:
        """A former guard of this pod died, and with it what it had seen: perhaps a trip.

        That is a fault for long enough that the operator reads it, whatever it was doing.
        """
        text = "the guard was restarted; what it had seen of drift is lost"
        self.health.problem(Problem("GuardRestarted", text), self._clock() + RESTART_TOLD * NS)

    # What the strategy says.

    def receive(self, datagram: bytes) -> None:
        """One datagram of the report socket, whatever it holds. Never raises."""
        now = self._clock()
        try:
            reports = decode_reports(datagram)
        except ValueError as error:
            self._problem(Problem("Undecodable", f"report: {str(error)[:200]}"), now)
            if self._urgent:
                self.refresh()
            return
        self.health.heard(now)
        tripped = self._tripped()
        for report in reports:
            self.activity.take(report, now)
            self._take(report, now)
        if self._urgent or self._tripped() != tripped:
            self.refresh()

    def _take(self, report: Report, now: int) -> None:
        match report:
            case Step():
                if report.latency < 0:
                    text = f"step {report.n} took {report.latency} ns"
                    self._problem(Problem("NegativeLatency", text), now)
                else:
                    self.health.feed("step", now)
            case Quote():
                found = of_quote(report)
                if not isinstance(found, Problem):
                    self.health.feed("quote", now)
                self._feed(found, now)
            case Probe():
                measured = of_probe(report)
                if not isinstance(measured, Problem):
                    self.health.feed("probe", now)
                self._feed(measured, now)
            case _:
                for outcome in self.pairing.take(report, now):
                    match outcome:
                        case Problem():
                            self._problem(outcome, now)
                        case Pair():
                            self.activity.pairs += 1
                            for residual in of_pair(outcome):
                                self._feed(residual, now)
                        case AckPair():
                            self._feed(of_acks(outcome), now)

    def _feed(self, item: Residual | Problem | None, now: int) -> None:
        if isinstance(item, Problem):
            self._problem(item, now)
        elif item is not None:
            if not math.isfinite(item.x):
                self._problem(Problem("NotANumber", f"{item.family} residual is {item.x}"), now)
                return
            wall = self._wall()
            for watch in self._watches():
                watch.feed(item, now, wall)

    def _problem(self, problem: Problem, now: int) -> None:
        if self.health.problem(problem, now):
            self._urgent = True

    # What the API says.

    def strategy(self, item: dict[str, Any] | None) -> None:
        """The own Strategy, None when it is gone."""
        self._listed_once.add("strategy")
        self.governing.strategy(item)
        self.refresh()

    def gates(self, items: list[dict[str, Any]]) -> None:
        """All gates of the namespace."""
        self._listed_once.add("gates")
        self.governing.replace(items)
        self.refresh()

    def gate(self, item: dict[str, Any], exists: bool) -> None:
        self.governing.change(item, exists)
        self.refresh()

    def lease(self, item: dict[str, Any] | None) -> None:
        """The operator's heartbeat, None when there is none."""
        self._listed_once.add("lease")
        if item is None:
            self.heartbeat.gone()
            return
        spec = item.get("spec") or {}
        # Any write has a new resourceVersion; only a renewal has a new time.
        version = f"{spec.get('holderIdentity')} {spec.get('renewTime')}"
        self.heartbeat.look(version, self._clock() / NS)

    # What follows.

    def refresh(self) -> None:
        """Judge anew and publish; called on every change and each REFRESH_EVERY seconds."""
        now = self._clock()
        for problem in self.pairing.expire(now):
            self._problem(problem, now)
        self._urgent = False
        gates = self.governing.gates
        self._faults = {gate.name: self._faults_of(gate, now) for gate in gates}
        beat = self.heartbeat.at
        verdict = judge(
            Knowledge(
                paper=self._config.paper,
                synced=self._listed_once >= {"strategy", "gates", "lease"},
                found=self.governing.known,
                suspend=self.governing.suspend,
                heartbeat_age=None if beat is None else now / NS - beat,
                gates=gates,
                existing=self.governing.existing,
                orphaned_by=self.governing.orphaned_by,
            ),
            self._faults,
            at_most=PERMIT_LIFE,
        )
        before = self._verdict
        if before is None or (before.state, before.allocation) != (
            verdict.state, verdict.allocation,
        ):  # fmt: skip
            self._permits += 1
            self._since = self._wall()
            log.info("permit %s %d%%: %s", verdict.state, verdict.allocation, verdict.reason)
        self._verdict = verdict
        state = record.State[verdict.state.upper()]
        deadline = now + int(verdict.life * NS)
        self._publish(Permit(state, verdict.allocation, self._permits, deadline, now))
        self.refreshed = now
        self._tell()

    def _faults_of(self, gate: Gate, now: int) -> tuple[Fault, ...]:
        if gate.watch is None:
            return gate.unreadable
        general = self.health.faults(
            now, stale_after=stale_after_ns(gate.spec), families=gate.watch.families
        )
        return (*general, *gate.watch.faults(now))

    def _tell(self) -> None:
        """Call on_change if what a decision hangs on differs from what was last told."""
        assert self._verdict is not None
        v = self._verdict
        shown = (
            v.state, v.allocation, v.reason, v.gates, self._faults,
            tuple(
                (
                    g.name, g.watch.sequence, g.watch.tripped, g.watch.calibrated,
                    g.watch.warned(self.refreshed),
                )
                for g in self.governing.gates
                if g.watch is not None
            ),
        )  # fmt: skip
        if shown == self._shown:
            return
        self._count_faults()
        self._shown = shown
        self.on_change()

    def _count_faults(self) -> None:
        listed: set[tuple[str, str]] = {
            (f.kind, f.reason) for faults in self._faults.values() for f in faults
        }
        for item in listed - self._listed:
            self.faults_total[item] = self.faults_total.get(item, 0) + 1
        self._listed = listed

    def halt(self, reason: str) -> None:
        """Publish Halted for good: the guard is about to end."""
        self._permits += 1
        now = self._clock()
        self._verdict = Verdict("Halted", 0, reason, (), PERMIT_LIFE)
        self._since = self._wall()
        self._publish(
            Permit(record.State.HALTED, 0, self._permits, now + int(PERMIT_LIFE * NS), now)
        )
        self.on_change()

    def _watches(self) -> list[GateWatch]:
        return [gate.watch for gate in self.governing.gates if gate.watch is not None]

    def _tripped(self) -> int:
        return sum(watch.tripped for watch in self._watches())

    def to_fit(self) -> list[tuple[Gate, str, ReferenceLearner]]:
        """Learners that have enough events, with their gate and family."""
        return [
            (gate, family, learner)
            for gate in self.governing.gates
            if gate.watch is not None
            for family, learner in gate.watch.to_fit()
        ]

    def fitted(self, gate: Gate, family: str, found: Reference | ValueError) -> None:
        """Take what a learner of `to_fit` found, and keep it across restarts."""
        watch = gate.watch
        if watch is not None and watch.fitted(family, found, self._clock()):
            self._store.put(gate.name, gate.digest, watch.references)
        self.refresh()

    def evidence(self) -> Evidence:
        """All that is known now."""
        now = self._clock()
        self._seq += 1
        verdict = self._verdict or Verdict("Halted", 0, "starting", (), 0.0)
        activity = self.activity
        step = activity.last_step
        return Evidence(
            strategy=self._config.strategy,
            boot=self._boot,
            seq=self._seq,
            permit=PermitEvidence(
                verdict.state, verdict.allocation, verdict.reason, verdict.gates, self._since
            ),
            gates=tuple(self._gate_evidence(gate, now) for gate in self.governing.gates),
            steps=activity.reports["step"],
            step_age=None if step is None else max(0.0, (now - step) / NS),
            step_p95_ms=activity.p95_ms(),
            orders=activity.reports["order"],
            fills=activity.reports["fill"],
            pairs=activity.pairs,
        )

    def _gate_evidence(self, gate: Gate, now: int) -> GateEvidence:
        faults = self._faults.get(gate.name, ())
        if gate.watch is None:
            return GateEvidence(gate.name, gate.status.sequence, calibrated=False, faults=faults)
        return gate.watch.evidence(now, faults)
