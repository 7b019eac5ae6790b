"""What is watched while the demo or a benchmark runs: gate, guards, venue, audit chain."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from cluster.errors import ClusterError
from desk import Desk

SAMPLE_EVERY = 0.2


@dataclass(frozen=True)
class Sample:
    """One look at the gate and at one guard after another. Wall-clock seconds."""

    at: float
    state: str
    allocation: int
    score: float
    price_bps: float | None


@dataclass(frozen=True)
class Run:
    samples: tuple[Sample, ...]
    chain: tuple[dict[str, Any], ...]  # audit records since the injection
    injected_at: float
    first_drifted_fill_at: float
    removed_at: float
    # Wall-clock times at which each guard halted its own permit, by strategy.
    halted_at: dict[str, float] = field(default_factory=dict)


class Recorder:
    """Samples in a thread of its own for as long as the block runs."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.names = sorted(desk.phases())
        self.samples: list[Sample] = []
        self.halts: dict[str, list[float]] = {name: [] for name in self.names}
        self._sequence = int(desk.gate_status()["sequence"])
        self._venue: dict[str, Any] = {}
        self._removed_at = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Recorder:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join()

    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    def injected(self, venue: dict[str, Any]) -> None:
        self._venue = venue

    def removed(self, venue: dict[str, Any]) -> None:
        self._removed_at = float(venue["changedAt"])

    def finish(self) -> Run:
        chain = [r for r in self.desk.chain() if int(r["sequence"]) > self._sequence]
        injected = float(self._venue["changedAt"])
        return Run(
            samples=tuple(self.samples),
            chain=tuple(chain),
            injected_at=injected,
            first_drifted_fill_at=float(self._venue["firstFillAfterChangeAt"]),
            removed_at=self._removed_at,
            halted_at={
                name: min(after)
                for name, times in self.halts.items()
                if (after := [t for t in times if t >= injected])
            },
        )

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_EVERY):
            try:
                self._look()
            except (ClusterError, KeyError, ValueError):
                continue  # a look that failed is a gap in the picture, not an end of the demo

    def _look(self) -> None:
        status = self.desk.gate_status()
        scores, prices = [0.0], []
        for name in self.names:
            evidence = self.desk.evidence(name)
            permit = evidence["permit"]
            if permit["state"] == "Halted":
                self.halts[name].append(float(permit["since"]))
            for gate in evidence["gates"]:
                scores.append(float(gate["score"]))
                prices += [
                    s["estimateBps"]
                    for s in gate["signals"]
                    if s["family"] == "price" and s.get("estimateBps") is not None and s["events"]
                ]
        self.samples.append(
            Sample(
                at=time.time(),
                state=str(status.get("state")),
                allocation=int(status.get("allocationPercent", 0)),
                score=max(scores),
                price_bps=max(prices, key=abs) if prices else None,
            )
        )
