"""A trading desk in a namespace of its own, made from the examples, and what to ask it.

Everything a test or the demo does to the system goes through here, and only by the ways a user has:
kubectl, and the venue's own control endpoint.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from cluster.errors import ClusterError
from cluster.kubectl import Kubectl
from proxy import Api

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
GUARD_PORT = 9464
Object = dict[str, Any]


class Timeout(AssertionError):
    """Something awaited did not come; says what was last seen."""


def wait_for(
    what: str, check: Callable[[], Any], *, timeout: float = 60, every: float = 0.2
) -> Any:
    """Polls `check` until it returns something true; returns that."""
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            last = check()
            if last:
                return last
        except (ClusterError, KeyError, ValueError) as error:
            last = error
        if time.monotonic() > deadline:
            raise Timeout(f"{what}: not within {timeout:.0f} s; last seen: {str(last)[:2000]}")
        time.sleep(every)


def examples(*names: str) -> list[Object]:
    """The manifests of the named example files."""
    docs: list[Object] = []
    for name in names:
        docs += [d for d in yaml.safe_load_all((EXAMPLES / name).read_text()) if d]
    return docs


@dataclass(frozen=True)
class Desk:
    """One namespace: a venue, strategies, a gate. `image` replaces that of the examples."""

    kubectl: Kubectl
    api: Api
    namespace: str
    image: str
    gate: str = "btc-gate"

    def apply(self, *docs: Object) -> None:
        moved = [self._here(doc) for doc in docs]
        self.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(moved))

    def _here(self, doc: Object) -> Object:
        """`doc` moved into this namespace and to the image under test."""
        text = json.dumps(doc).replace("localhost/tidegate:dev", self.image)
        moved: Object = json.loads(text)
        if moved["kind"] == "Namespace":
            moved["metadata"]["name"] = self.namespace
        else:
            moved["metadata"]["namespace"] = self.namespace
        return moved

    def open(self, *, strategies: int = 5, gate: Object | None = None, quota: bool = False) -> None:
        """Venue, the first `strategies` of the examples, and a gate."""
        docs = examples("00-namespace.yaml")
        if quota:
            docs += examples("10-quota.yaml")
        docs += examples("20-venue.yaml")
        docs += examples("30-strategies.yaml")[:strategies]
        docs += [gate] if gate is not None else examples("40-gate.yaml")
        self.apply(*docs)

    def close(self) -> None:
        self.kubectl("delete", "namespace", self.namespace, "--wait=false", "--ignore-not-found")

    # Objects

    def get(self, kind: str, name: str) -> Object:
        found: Object = self.api.get(kind, self.namespace, name)
        return found

    def status(self, kind: str, name: str) -> Object:
        status: Object = self.get(kind, name).get("status") or {}
        return status

    def gate_status(self) -> Object:
        return self.status("driftgate", self.gate)

    def items(self, kind: str, selector: str = "") -> list[Object]:
        return self.api.list(kind, self.namespace, selector)

    def patch_gate(self, spec: Object) -> None:
        self.kubectl(
            "patch", "driftgate", self.gate, "-n", self.namespace, "--type=merge",
            "-p", json.dumps({"spec": spec}),
        )  # fmt: skip

    def phases(self) -> dict[str, str]:
        return {s["metadata"]["name"]: (s.get("status") or {}).get("phase", "")
                for s in self.items("strategy")}  # fmt: skip

    def chain(self, gate: str | None = None) -> list[Object]:
        """Specs of the gate's audit records in order."""
        listed = self.items("gatetransition", f"tidegate.dev/gate={gate or self.gate}")
        return sorted((o["spec"] for o in listed), key=lambda spec: int(spec["sequence"]))

    # The venue and the guards, through the apiserver's proxy: works for every provider

    def venue(self, **change: float) -> Object:
        """Read the venue's behaviour, or change it: slippageBps, fillRatio, latencyMs …"""
        path = f"/api/v1/namespaces/{self.namespace}/services/venue:8080/proxy/control"
        state: Object = self.api.json(path, body=change or None)
        return state

    def evidence(self, strategy: str) -> Object:
        path = f"/api/v1/namespaces/{self.namespace}/pods/{strategy}:{GUARD_PORT}/proxy"
        line: Object = self.api.json(f"{path}/v1/evidence?once=1")
        return line

    def live_orders(self) -> float:
        """Orders that the venue has received so far: the truth about who trades."""
        path = f"/api/v1/namespaces/{self.namespace}/services/venue:8080/proxy/metrics"
        lines = self.api.text(path).splitlines()
        return sum(float(x.rsplit(" ", 1)[1]) for x in lines if x.startswith("venue_orders_total"))

    # Waiting

    def wait_state(self, *states: str, timeout: float = 60) -> Object:
        """Until the gate is in one of `states`; returns its status."""

        def check() -> Object | None:
            status = self.gate_status()
            return status if status.get("state") in states else None

        try:
            return dict(wait_for(f"gate {self.gate} {'/'.join(states)}", check, timeout=timeout))
        except Timeout as error:
            raise Timeout(f"{error}\nstatus now: {json.dumps(self._quiet_status())}") from None

    def _quiet_status(self) -> Object:
        with contextlib.suppress(ClusterError):
            return self.gate_status()
        return {}

    def wait_phase(self, phase: str, *, count: int, timeout: float = 90) -> dict[str, str]:
        """Until `count` strategies are in `phase`; returns all phases."""

        def check() -> dict[str, str] | None:
            phases = self.phases()
            return phases if list(phases.values()).count(phase) == count else None

        return dict(wait_for(f"{count} strategies {phase}", check, timeout=timeout))

    def wait_no_orders(self, *, quiet: float = 2.0, timeout: float = 30) -> None:
        """Until the venue has received no order for `quiet` seconds."""

        def check() -> bool:
            before = self.live_orders()
            time.sleep(quiet)
            return self.live_orders() == before

        wait_for(f"no live orders for {quiet} s", check, timeout=timeout)
