"""The heartbeat Lease: renewed only after every gate was evaluated.

Guards halt when it stops. So it must not say more than it knows: a gate whose evaluation or status
write fails holds it back, and with it every permit, rather than leave that gate's permits open on a
stale decision.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegate.api.meta import HEARTBEAT_LEASE, format_time
from tidegate.engine.queue import Key
from tidegate.kube.api import LEASES, Conflict, KubeApi, KubeError, NotFound

log = logging.getLogger(__name__)

ROUND_EVERY = 1.0
SLOW_ROUND = 3.0


@dataclass
class Heartbeat:
    """`gates` lists the keys that a round needs; `add` queues one; `done` tells of each success."""

    api: KubeApi
    namespace: str
    identity: str
    clock: Callable[[], float]
    now: Callable[[], datetime]
    gates: Callable[[], Iterable[Key]]
    add: Callable[[Key], None]
    leading: Callable[[], bool]
    _done: dict[Key, float] = field(default_factory=dict)
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    def done(self, key: Key, started: float) -> None:
        """`key` was evaluated, writes included, by a reconciliation begun at `started`."""
        self._done[key] = started
        self._progress.set()

    async def run(self) -> None:
        while True:
            began = self.clock()
            if self.leading():
                await self._round(began)
            else:
                self._done.clear()
            await asyncio.sleep(max(0.05, ROUND_EVERY - (self.clock() - began)))

    async def _round(self, began: float) -> None:
        for key in self.gates():
            self.add(key)
        warned = False
        while self.leading():
            self._progress.clear()
            late = [key for key in self.gates() if self._done.get(key, -1.0) < began]
            if not late:
                await self._renew()
                return
            if not warned and self.clock() - began > SLOW_ROUND:
                warned = True
                log.warning(
                    "heartbeat held back: gate %s/%s not evaluated for %.1f s (and %d more)",
                    late[0].namespace, late[0].name, self.clock() - began, len(late) - 1,
                )  # fmt: skip
            try:
                await asyncio.wait_for(self._progress.wait(), 0.5)
            except TimeoutError:
                continue

    async def _renew(self) -> None:
        spec: dict[str, Any] = {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": 5,
            "renewTime": format_time(self.now()),
        }
        try:
            async with asyncio.timeout(3):
                try:
                    await self.api.merge_patch(
                        LEASES, HEARTBEAT_LEASE, self.namespace, {"spec": spec}
                    )
                except NotFound:
                    await self.api.create(
                        LEASES,
                        {
                            "apiVersion": "coordination.k8s.io/v1",
                            "kind": "Lease",
                            "metadata": {"name": HEARTBEAT_LEASE, "namespace": self.namespace},
                            "spec": spec,
                        },
                        self.namespace,
                    )
        except Conflict:
            return  # the other replica created it in between; the next round renews it
        except (KubeError, TimeoutError) as error:
            log.warning("heartbeat not renewed: %s", error or "timed out")
