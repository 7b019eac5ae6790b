"""One gate as its guard sees it: reference, drift, recovery, and which transition it is about.

Pure: residuals, statuses and times come in; what it knows is read off.
"""

import math
from collections.abc import Mapping

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus
from tidegate.api.quantity import parse_duration_ms
from tidegate.api.wire import Fault, GateEvidence, SignalEvidence
from tidegate.core.drift import (
    DriftDetector,
    Reference,
    ReferenceLearner,
    ReversedTest,
    SignalSpec,
    declared_reference,
)
from tidegate.core.drift.learner import MIN_EVENTS
from tidegate.guard.pairing import Problem
from tidegate.guard.signals import Residual, to_bps, to_unit

# Below these, in the unit of x, a difference is noise of floats and clocks.
FLOORS = {"price": 5e-6, "volume": 1e-4, "latency": 1e-3, "market": 1e-3}
# What exists without live orders.
WITHOUT_LIVE = frozenset({"latency", "market"})
REFUSED_FOR = 2_000_000_000


class GateWatch:
    """`paper`: the strategy has no live orders at all, so only latency and market are watched.

    `saved` are references learned before; nothing is learned within `warm_up` ns of the first
    residual. Raises ValueError when the spec can't be watched.
    Times are CLOCK_MONOTONIC ns, `wall` is seconds.
    """

    def __init__(
        self,
        name: str,
        spec: DriftGateSpec,
        *,
        paper: bool = False,
        saved: Mapping[str, Reference] | None = None,
        warm_up: int = 0,
    ) -> None:
        self.name = name
        self.spec = spec
        self.sequence = 0
        self._warm_up = warm_up
        self._learn_from: int | None = None
        self._specs: dict[str, SignalSpec] = {
            s.family: SignalSpec(
                s.family, to_unit(s.family, s.tolerance_bps), to_unit(s.family, s.limit_bps)
            )
            for s in spec.signals
            if not paper or s.family in WITHOUT_LIVE
        }
        # No live orders, so none that could differ: recovery needs no proof of these families.
        self._vacuous = [s.family for s in spec.signals if s.family not in self._specs]
        self._applied = False
        self._live = True
        self._detector: DriftDetector | None = None
        self._reversed: dict[str, ReversedTest] = {}
        self._testing = False
        self._tripped_at: float | None = None
        self._warned_until = 0
        self._refused: tuple[int, Problem] | None = None
        self._references: dict[str, Reference] = {}
        self._learners: dict[str, ReferenceLearner] = {}
        for family in self._specs:
            self._references_for(family, saved or {})
        self._arm()

    def _references_for(self, family: str, saved: Mapping[str, Reference]) -> None:
        declared = self.spec.reference.declared
        if declared is not None:
            entry = getattr(declared, family)
            if entry is None:
                raise ValueError(
                    f"gate {self.name}: spec.reference.declared.{family}: expected an entry for "
                    "this signal, found none"
                )
            self._references[family] = declared_reference(
                family,
                center=to_unit(family, float(entry.center_bps)),
                scale=to_unit(family, float(entry.scale_bps)),
                tick=to_unit(family, float(entry.tick_bps)),
            )
        elif family in saved:
            self._references[family] = saved[family]
        else:
            self._learn(family)

    def _learn(self, family: str) -> None:
        needed = max(self.spec.detection.reference_events, MIN_EVENTS)
        self._learners[family] = ReferenceLearner(family, needed, floor=FLOORS[family])

    def _arm(self) -> None:
        """Begin detection once every family has its reference."""
        if self._specs and self._references.keys() >= self._specs.keys():
            rate = float(self.spec.detection.false_alarms_per_million)
            if rate <= 0.0:
                raise ValueError(
                    f"gate {self.name}: spec.detection.falseAlarmsPerMillion: expected a number "
                    f"above 0, was {self.spec.detection.false_alarms_per_million!r}"
                )
            threshold = 1e6 / rate
            self._detector = DriftDetector(
                list(self._specs.values()),
                self._references,
                threshold=threshold,
                warn=math.sqrt(threshold),
            )
            self._restart_tests()

    def _restart_tests(self) -> None:
        self._reversed = {}
        if self._testing and self._detector is not None:
            self._reversed = {
                family: ReversedTest(spec, self._references[family])
                for family, spec in self._specs.items()
            }

    @property
    def families(self) -> frozenset[str]:
        return frozenset(self._specs)

    @property
    def calibrated(self) -> bool:
        return self._detector is not None or not self._specs

    @property
    def tripped(self) -> bool:
        """Drift found, and not yet answered by the gate's Suspended or the ramp's first step."""
        return self._tripped_at is not None

    def warned(self, now: int) -> bool:
        """Drift suspected, or found while suspended within the gate's clearFor."""
        detector = self._detector
        return (
            self.tripped or now < self._warned_until or (detector is not None and detector.warned)
        )

    def update_spec(self, spec: DriftGateSpec) -> None:
        """Take a spec whose signals, reference and detection are the same."""
        self.spec = spec

    def inherit(self, old: "GateWatch") -> None:
        """Take over the trip of the watch that this one replaces: an edit is no recovery."""
        self._tripped_at = old._tripped_at

    def apply(self, status: DriftGateStatus) -> None:
        """Follow the gate's state; only a new sequence changes anything but the allocation."""
        # Before the first status nothing says that live orders are stopped.
        self._live = status.state is None or (
            status.state not in ("Suspended", "Stopped") and status.allocation_percent > 0
        )
        if self._applied and status.sequence == self.sequence:
            return
        self._applied = True
        self.sequence = status.sequence
        at_first_step = (
            status.state == "Recovering"
            and status.allocation_percent <= self.spec.recovery.steps[0]
        )
        if status.state == "Suspended" or at_first_step:
            self._reset()
        self._testing = status.state in ("Suspended", "Recovering")
        self._restart_tests()

    def _reset(self) -> None:
        self._tripped_at = None
        if self._detector is not None:
            self._detector.reset()

    def feed(self, residual: Residual, now: int, wall: float) -> None:
        """Take one residual; those of live orders count only while live orders are allowed."""
        family = residual.family
        if family not in self._specs or (residual.live and not self._live):
            return
        detector = self._detector
        if detector is None:
            if self._learn_from is None:
                self._learn_from = now + self._warm_up
            learner = self._learners.get(family)
            if learner is not None and now >= self._learn_from:
                learner.add(residual.x)
            return
        detector.update(family, residual.x)
        test = self._reversed.get(family)
        if test is not None:
            test.update(residual.x)
        if not detector.tripped or self.tripped:
            return
        if self._live:
            self._tripped_at = wall
        else:
            # The gate is shut already. The drift that keeps it shut must be seen to end, and a
            # latch would hide that: begin anew, and remember for as long as the gate asks.
            detector.reset()
            self._warned_until = now + parse_duration_ms(self.spec.recovery.clear_for) * 1_000_000

    def to_fit(self) -> list[tuple[str, ReferenceLearner]]:
        """Learners that have enough. Their `finish` may run in a thread: they change no more."""
        return [(family, learner) for family, learner in self._learners.items() if learner.complete]

    def fitted(self, family: str, reference: Reference | ValueError, now: int) -> bool:
        """Take a fitted reference; False when it is refused and learning has begun again."""
        limit = self._specs[family].limit
        problem = None
        if isinstance(reference, ValueError):
            problem = Problem("ReferenceUnusable", f"{family}: {reference}")
        elif abs(reference.center) > limit:
            found = to_bps(family, reference.center)
            problem = Problem(
                "ReferenceDrifted",
                f"{family}: learned center is {found:.0f} bps, beyond the limit of "
                f"{to_bps(family, limit):.0f} bps: live already differs from paper",
            )
        if problem is not None or isinstance(reference, ValueError):
            assert problem is not None
            self._refused = (now, problem)
            self._learn(family)
            return False
        del self._learners[family]
        self._references[family] = reference
        self._arm()
        return True

    @property
    def references(self) -> Mapping[str, Reference]:
        """What is known, to be kept across restarts."""
        return self._references

    def faults(self, now: int) -> tuple[Fault, ...]:
        """Faults of this gate alone."""
        if self._refused is None or now - self._refused[0] > REFUSED_FOR:
            return ()
        problem = self._refused[1]
        return (Fault("invalid", problem.reason, problem.message),)

    def evidence(self, now: int, faults: tuple[Fault, ...]) -> GateEvidence:
        """All that is known; `faults` are listed as they are."""
        detector = self._detector
        counts = [learner.count for learner in self._learners.values()]
        counts += [reference.events for reference in self._references.values()]
        return GateEvidence(
            gate=self.name,
            sequence=self.sequence,
            calibrated=self.calibrated,
            score=detector.score() if detector is not None else 0.0,
            warned=self.warned(now),
            tripped=self.tripped,
            reference_events=min(counts, default=0),
            faults=faults,
            signals=self._signals(),
            tripped_at=self._tripped_at,
        )

    def _signals(self) -> tuple[SignalEvidence, ...]:
        vacuous = tuple(SignalEvidence(family, recovery_p=0.0) for family in self._vacuous)
        if self._detector is None:
            return vacuous + tuple(
                SignalEvidence(
                    family,
                    events=self._learners[family].count
                    if family in self._learners
                    else self._references[family].events,
                )
                for family in self._specs
            )
        out = list(vacuous)
        for state in self._detector.signals():
            test = self._reversed.get(state.family)
            out.append(
                SignalEvidence(
                    family=state.family,
                    score=state.score,
                    estimate_bps=_bps(state.family, state.estimate),
                    low_bps=_bps(state.family, state.low),
                    high_bps=_bps(state.family, state.high),
                    minimum_detectable_bps=_bps(state.family, state.minimum_detectable),
                    events=state.events,
                    recovery_p=test.p_value if test is not None else 1.0,
                    recovery_events=test.events if test is not None else 0,
                )
            )
        return tuple(out)


def _bps(family: str, x: float) -> float | None:
    """None for what no event has shown yet."""
    return round(to_bps(family, x), 3) if math.isfinite(x) else None
