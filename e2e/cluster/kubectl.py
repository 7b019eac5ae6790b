"""Asking the cluster through kubectl: the same client that users have."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .commands import run
from .console import Step
from .errors import ClusterError


@dataclass(frozen=True)
class Kubectl:
    program: Path
    kubeconfig: Path

    def argv(self, *words: str) -> list[str]:
        return [str(self.program), f"--kubeconfig={self.kubeconfig}", *words]

    def __call__(self, *words: str, stdin: str | None = None) -> str:
        return run(self.argv(*words), stdin=stdin, timeout=120)

    def json(self, *words: str) -> Any:
        return json.loads(self(*words, "-o", "json"))

    def ready(self) -> bool:
        """Whether the API server says that it is ready, within two seconds."""
        words = self.argv("get", "--raw", "/readyz", "--request-timeout=2s")
        try:
            done = subprocess.run(words, capture_output=True, check=False, timeout=5)
        except (OSError, subprocess.TimeoutExpired):
            return False
        return done.returncode == 0

    def apply(self, manifest: str) -> None:
        """Server-side apply, which has no size limit on what it remembers."""
        words = ("apply", "--server-side", "--force-conflicts", "-f", "-")
        self(*words, stdin=manifest)


def condition(thing: dict[str, Any], kind: str) -> tuple[bool, str]:
    """(is it True, what it says) of one condition of a node, pod or deployment. Pure."""
    for each in thing.get("status", {}).get("conditions") or []:
        if each.get("type") == kind:
            said = f"{each.get('reason', '')}: {each.get('message', '')}".strip(": ")
            return each.get("status") == "True", said or str(each.get("status"))
    return False, f"no condition {kind} yet"


def wait(
    what: str,
    check: Callable[[], tuple[bool, str]],
    *,
    timeout: float,
    step: Step | None = None,
    every: float = 0.3,
    do: str = "",
) -> None:
    """Polls `check` -> (done, what it found) until done; the last finding is in the error."""
    deadline = time.monotonic() + timeout
    while True:
        try:
            done, found = check()
        except ClusterError as error:
            done, found = False, error.found or error.what
        if done:
            if step is not None:
                step.at("")
            return
        if step is not None:
            step.at(found[:100])
        if time.monotonic() > deadline:
            raise ClusterError(what, expected=f"within {timeout:.0f} s", found=found, do=do)
        time.sleep(every)


def deployment_ready(kubectl: Kubectl, namespace: str, name: str) -> tuple[bool, str]:
    found = kubectl.json("-n", namespace, "get", "deployment", name)
    status = found.get("status", {})
    wanted = found["spec"]["replicas"]
    ready = status.get("readyReplicas", 0)
    seen = status.get("observedGeneration") == found["metadata"]["generation"]
    updated = status.get("updatedReplicas", 0)
    return seen and ready == updated == wanted, f"{ready} of {wanted} replicas ready"
