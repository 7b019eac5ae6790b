"""Evidence streams of the guards: one HTTP connection to each running pod.

Age is measured here, on our monotonic clock from arrival to now: no two clocks are ever compared.
"""

import asyncio
import logging
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import aiohttp

from tidegate.api.wire import EVIDENCE_PATH, GUARD_PORT, Evidence, decode_evidence

log = logging.getLogger(__name__)

# Guards write a line every 0.5 s: five missed ones mean the connection is dead.
READ_TIMEOUT = 2.5
CONNECT_TIMEOUT = 2.0
BACKOFF_LAST = 2.0


@dataclass(frozen=True, slots=True)
class Target:
    """A running guard. `uid` is the pod's: a pod made anew is another target."""

    uid: str
    namespace: str
    strategy: str
    address: str


@dataclass(frozen=True, slots=True)
class Received:
    evidence: Evidence
    at: float  # monotonic seconds


def urgent(old: Evidence | None, new: Evidence) -> bool:
    """Whether a decision may change: anything but scores and counters did."""
    if old is None or old.boot != new.boot or old.permit != new.permit:
        return True
    if len(old.gates) != len(new.gates):
        return True
    return any(
        a.gate != b.gate
        or a.sequence != b.sequence
        or a.tripped != b.tripped
        or a.warned != b.warned
        or a.calibrated != b.calibrated
        or a.faults != b.faults
        for a, b in zip(old.gates, new.gates, strict=True)
    )


@dataclass
class GuardStreams:
    """`aim` sets the targets; `latest` has what came last from each."""

    session: aiohttp.ClientSession
    clock: Callable[[], float]
    random: random.Random
    on_change: Callable[[Target, Evidence], None]
    latest: dict[str, Received] = field(default_factory=dict)
    _tasks: dict[Target, "asyncio.Task[None]"] = field(default_factory=dict)

    def aim(self, targets: Iterable[Target]) -> None:
        """Connect to new targets, leave those that are gone."""
        wanted = set(targets)
        for target in [t for t in self._tasks if t not in wanted]:
            self._tasks.pop(target).cancel()
            if not any(t.uid == target.uid for t in wanted):
                self.latest.pop(target.uid, None)
        for target in wanted - self._tasks.keys():
            self._tasks[target] = asyncio.create_task(
                self._follow(target), name=f"evidence {target.namespace}/{target.strategy}"
            )

    async def close(self) -> None:
        tasks = list(self._tasks.values())
        self._tasks.clear()
        self.latest.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, target: Target) -> None:
        failures = 0
        while True:
            try:
                await self._read(target)
                failures = 0
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                failures += 1
                if failures in (1, 10):
                    log.info(
                        "evidence of %s/%s at %s: %s", target.namespace, target.strategy,
                        target.address, error or type(error).__name__,
                    )  # fmt: skip
            ceiling = min(BACKOFF_LAST, 0.1 * 2.0 ** min(failures, 6))
            await asyncio.sleep(self.random.uniform(ceiling / 2, ceiling))

    async def _read(self, target: Target) -> None:
        host = f"[{target.address}]" if ":" in target.address else target.address
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT, sock_read=READ_TIMEOUT
        )
        url = f"http://{host}:{GUARD_PORT}{EVIDENCE_PATH}"
        async with self.session.get(url, timeout=timeout) as response:
            response.raise_for_status()
            async for line in response.content:
                evidence = decode_evidence(line)
                if evidence.strategy != target.strategy:
                    raise ValueError(
                        f"expected evidence of {target.strategy}, was {evidence.strategy!r}"
                    )
                old = self.latest.get(target.uid)
                self.latest[target.uid] = Received(evidence, self.clock())
                if urgent(old.evidence if old else None, evidence):
                    self.on_change(target, evidence)
