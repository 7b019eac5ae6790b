"""Leader election over one Lease.

Expiry is judged by how long the Lease has not changed under our own monotonic clock, never by the
times written in it: the replicas' clocks need not agree. Writes carry the resourceVersion that was
read, so two candidates can't both win.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidegate.api.meta import format_time
from tidegate.kube.api import LEASES, Conflict, KubeApi, KubeError, NotFound

log = logging.getLogger(__name__)

DURATION = 5.0
RENEW_DEADLINE = 3.0
RENEW_EVERY = 1.0
# A candidate looks more often than the leader renews: its own 5 s begin when it sees the change.
LOOK_EVERY = 0.3


@dataclass
class Elector:
    """`run` until cancelled; `leading` is true only while our Lease is certainly ours."""

    api: KubeApi
    namespace: str
    name: str
    identity: str
    clock: Callable[[], float]
    now: Callable[[], datetime]
    on_started: Callable[[], None]
    on_stopped: Callable[[], None]
    _lease: dict[str, Any] | None = None
    _seen_at: float = 0.0
    _renewed_at: float = 0.0
    _leading: bool = False
    transitions: int = field(default=0)

    def leading(self) -> bool:
        """Whether writes are allowed at this very moment."""
        return self._leading and self.clock() - self._renewed_at < RENEW_DEADLINE

    async def run(self) -> None:
        try:
            while True:
                started = self.clock()
                await self._turn()
                if self._leading and not self.leading():
                    self._lose("its Lease could not be renewed in time")
                pause = RENEW_EVERY if self._leading else self._until_look()
                await asyncio.sleep(max(0.05, pause - (self.clock() - started)))
        finally:
            await self._release()

    def _until_look(self) -> float:
        expires = self._seen_at + DURATION - self.clock()
        return min(LOOK_EVERY, expires) if expires > 0 else LOOK_EVERY

    async def _turn(self) -> None:
        try:
            # Bounded, so that a hanging request can't outlast the deadline unnoticed.
            async with asyncio.timeout(RENEW_DEADLINE - RENEW_EVERY):
                if self._leading and self._lease is not None:
                    await self._write(self._lease)
                else:
                    await self._look()
        except Conflict:
            # Somebody else wrote: look again at once and judge afresh.
            self._lease = None
            if self._leading:
                self._lose("another replica took the Lease")
        except (KubeError, TimeoutError) as error:
            log.warning("lease %s/%s: %s", self.namespace, self.name, error or "timed out")

    async def _look(self) -> None:
        try:
            lease = await self.api.get(LEASES, self.name, self.namespace)
        except NotFound:
            await self._create()
            return
        known = self._lease
        changed = known is None or (
            known["metadata"]["resourceVersion"] != lease["metadata"]["resourceVersion"]
        )
        self._lease = lease
        if changed:
            self._seen_at = self.clock()
        holder = lease.get("spec", {}).get("holderIdentity") or ""
        expired = self.clock() - self._seen_at >= DURATION
        if holder in ("", self.identity) or expired:
            await self._write(lease)

    def _spec(self, old: dict[str, Any]) -> dict[str, Any]:
        now = format_time(self.now())
        takes_over = old.get("holderIdentity") != self.identity
        return {
            "holderIdentity": self.identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": now if takes_over else old.get("acquireTime", now),
            "renewTime": now,
            "leaseTransitions": int(old.get("leaseTransitions") or 0) + (1 if takes_over else 0),
        }

    async def _create(self) -> None:
        started = self.clock()
        body = {
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "spec": self._spec({}),
        }
        self._won(await self.api.create(LEASES, body, self.namespace), started)

    async def _write(self, lease: dict[str, Any]) -> None:
        started = self.clock()
        new = await self.api.merge_patch(
            LEASES,
            self.name,
            self.namespace,
            {"spec": self._spec(lease.get("spec", {}))},
            resource_version=lease["metadata"]["resourceVersion"],
        )
        self._won(new, started)

    def _won(self, lease: dict[str, Any], started: float) -> None:
        self._lease = lease
        # From before the request: the apiserver may have counted from then.
        self._renewed_at = self._seen_at = started
        self.transitions = int(lease["spec"].get("leaseTransitions") or 0)
        if not self._leading:
            self._leading = True
            log.info("%s leads (lease %s/%s)", self.identity, self.namespace, self.name)
            self.on_started()

    def _lose(self, why: str) -> None:
        self._leading = False
        log.warning("%s leads no more: %s", self.identity, why)
        self.on_stopped()

    async def _release(self) -> None:
        """On SIGTERM: hand over at once instead of after the Lease's duration."""
        if not self._leading or self._lease is None:
            return
        self._lose("it is stopping")
        try:
            async with asyncio.timeout(2):
                await self.api.merge_patch(
                    LEASES,
                    self.name,
                    self.namespace,
                    {"spec": {"holderIdentity": ""}},
                    resource_version=self._lease["metadata"]["resourceVersion"],
                )
        except (KubeError, TimeoutError) as error:
            log.warning("lease %s/%s not released: %s", self.namespace, self.name, error)
