"""Real processes on loopback: a venue, a strategy, a guard whose KubeApi alone is a fake."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Desk:
    """One pod's processes, without the pod."""

    run_dir: Path
    children: list[subprocess.Popen[str]] = field(default_factory=list)
    venue_port: int = 0
    guard_port: int = 0

    def start(self, *argv: str, **env: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, *argv],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": f"{ROOT / 'operator'}:{ROOT / 'tests' / 'guard'}",
                "TIDEGATE_RUN_DIR": str(self.run_dir),
                "TIDEGATE_STRATEGY": "s1",
                "TIDEGATE_NAMESPACE": "ns",
                "TIDEGATE_OPERATOR_NAMESPACE": "op",
                "TIDEGATE_MODE": "Live",
                **env,
            },
        )  # fmt: skip
        self.children.append(child)
        return child

    def venue(self, *flags: str) -> subprocess.Popen[str]:
        child = self.start("-m", "tidegate", "venue", "--host", "127.0.0.1", "--port", "0", *flags)
        assert child.stdout is not None
        self.venue_port = int(child.stdout.readline().rsplit(":", 1)[1])
        return child

    def strategy(self, name: str = "MeanReversion", **env: str) -> subprocess.Popen[str]:
        return self.start(
            "-m", "tidegate", "run", f"tidegate.runtime.samples:{name}",
            TIDEGATE_VENUE_URL=f"ws://127.0.0.1:{self.venue_port}/ws", **env,
        )  # fmt: skip

    def guard(self) -> subprocess.Popen[str]:
        child = self.start(str(ROOT / "tests" / "guard" / "guard_process.py"))
        assert child.stdout is not None
        self.guard_port = int(child.stdout.readline())
        return child

    def control(self, **fields: float) -> dict[str, Any]:
        return self._json(self.venue_port, "/control", fields or None)

    def evidence(self) -> dict[str, Any]:
        return self._json(self.guard_port, "/v1/evidence?once=1", None)

    def venue_orders(self) -> float:
        """Orders that the venue has executed."""
        text = self.get(self.venue_port, "/metrics")
        return sum(
            float(line.split()[-1])
            for line in text.splitlines()
            if line.startswith("venue_orders_total")
        )

    def get(self, port: int, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
            return str(answer.read().decode())

    def _json(self, port: int, path: str, body: Any) -> dict[str, Any]:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data)
        with urllib.request.urlopen(request, timeout=5) as answer:
            found: dict[str, Any] = json.loads(answer.read())
            return found

    def until(self, condition: Callable[[], Any], within: float, what: str) -> Any:
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            if found := condition():
                return found
            time.sleep(0.02)
        raise AssertionError(f"{what}: not within {within:g} s; last evidence {self.evidence()}")

    def stop(self) -> None:
        for child in reversed(self.children):
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children:
            try:
                child.wait(5)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
            for pipe in (child.stdin, child.stdout):
                if pipe is not None:
                    pipe.close()


async def eventually(condition: Callable[[], Any], within: float = 5.0) -> Any:
    """Wait until `condition` holds and return it."""
    async with asyncio.timeout(within):
        while not (found := condition()):  # noqa: ASYNC110 - polls foreign state
            await asyncio.sleep(0.01)
    return found
