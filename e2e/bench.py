"""`make bench`: how fast trading stops and comes back, on the real cluster.

Prints a table and writes it to docs/benchmarks.md. The baseline is measured in the same run on the
same machine: one write to the apiserver (a merge patch of the gate's annotation), since the path
that is timed holds two of them (the record and the status).
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import track

from cluster import faults
from desk import Desk, examples, wait_for
from install import NAMESPACE as OPERATOR_NAMESPACE
from install import Installed, install
from proxy import Api, proxied
from record import Recorder, Run
from timeline import seconds

REPORT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- response: begin -->", "<!-- response: end -->"
SLIPPAGE_BPS = 100
NAMESPACE = "bench"
LEADER_KILLS = 5


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure response and recovery.")
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--provider")
    return parser.parse_args()


def gate() -> dict[str, object]:
    """The example gate with defaults for recovery and no daily limit that a benchmark would hit."""
    (manifest,) = examples("40-gate.yaml")
    recovery = {**manifest["spec"].get("recovery", {}), "maxPerDay": 1000}
    return {**manifest, "spec": {**manifest["spec"], "recovery": recovery}}


def measure(desk: Desk) -> Run:
    """One injection, from healthy to Open again."""
    with Recorder(desk) as recorder:
        desk.venue(slippageBps=SLIPPAGE_BPS)
        desk.wait_state("Suspended", timeout=90)
        recorder.injected(desk.venue())
        time.sleep(1)
        recorder.removed(desk.venue(slippageBps=0))
        desk.wait_state("Open", timeout=240)
        time.sleep(1)
        return recorder.finish()


def baseline(desk: Desk, count: int = 30) -> list[float]:
    """Milliseconds of one small write to the apiserver, through the same client as the polling."""
    path = f"/apis/tidegate.dev/v1alpha1/namespaces/{desk.namespace}/driftgates/{desk.gate}"
    times = []
    for i in range(count):
        body = {"metadata": {"annotations": {"bench": str(i)}}}
        began = time.perf_counter()
        desk.api.patch(path, body)
        times.append((time.perf_counter() - began) * 1000)
    return times


def leadership(done: Installed, api: Api) -> float:
    """Milliseconds from SIGKILL of the leading operator to the Lease naming the other."""

    def holder() -> str:
        lease = api.get("lease", OPERATOR_NAMESPACE, "tidegate-leader")
        return str(lease["spec"].get("holderIdentity") or "")

    old = wait_for("a leader", holder)
    began = time.monotonic()
    faults.kill_container(done.config, OPERATOR_NAMESPACE, old.split("_")[0], "operator")
    wait_for("another leader", lambda: holder() not in ("", old), timeout=60, every=0.02)
    took = (time.monotonic() - began) * 1000
    wait_for("both replicas are ready", lambda: _ready(done) == 2, timeout=120, every=1)
    return took


def _ready(done: Installed) -> int:
    deployment = done.kubectl.json("get", "deployment", "-n", OPERATOR_NAMESPACE, "tidegate")
    return int(deployment["status"].get("readyReplicas", 0))


def figures(run: Run) -> dict[str, float]:
    """Milliseconds from the first drifted fill, and of the recovery."""
    zero = run.first_drifted_fill_at
    suspended = next(r for r in run.chain if r["to"] == "Suspended")
    opened = run.chain[-1]
    return {
        "first drifted fill -> first own permit halted": (min(run.halted_at.values()) - zero) * 1e3,
        "first drifted fill -> every permit halted": (max(run.halted_at.values()) - zero) * 1e3,
        "first own permit halted -> every permit halted": (
            max(run.halted_at.values()) - min(run.halted_at.values())
        )
        * 1e3,
        "guard's trip -> operator sends the Suspended record": (
            seconds(suspended["times"]["written"]) - seconds(suspended["times"]["observed"])
        )
        * 1e3,
        "drift removed -> 100 %": (seconds(opened["times"]["written"]) - run.removed_at) * 1e3,
    }


def row(name: str, values: Sequence[float], base: float) -> str:
    median, worst = statistics.median(values), max(values)
    return f"| {name} | {median:,.1f} | {worst:,.1f} | {median / base:,.1f} x | {len(values)} |"


def report(rows: list[str], runs: int) -> str:
    stamp = datetime.now(UTC).strftime("%Y-%m-%d")
    head = f"`make bench` ({runs} injections of {SLIPPAGE_BPS} bps; five strategies under one gate,"
    return "\n".join(
        [
            BEGIN,
            f"{head} `examples/`;",
            f"{os.cpu_count()} shared cores, {platform.system()}, {stamp}; milliseconds).",
            "",
            "| what | median | worst | ratio to one API write | runs |",
            "|---|---|---|---|---|",
            *rows,
            END,
        ]
    )


def write(text: str) -> None:
    """Replace the section between the markers; everything else of the page stays."""
    page = REPORT.read_text() if REPORT.is_file() else f"# Benchmarks\n\n{BEGIN}\n{END}\n"
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(before + text + after)


def main() -> int:
    chosen = options()
    console = Console(stderr=True)
    done = install(provider_name=chosen.provider)
    native = done.provider.name == "native"
    with proxied(done.kubectl) as api:
        desk = Desk(done.kubectl, api, NAMESPACE, done.image)
        done.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
        try:
            with console.status("five strategies start and the gate learns"):
                desk.open(strategies=5, gate=gate())
                desk.wait_phase("Running", count=5, timeout=240)
                desk.venue(slippageBps=0)
                desk.wait_state("Open", timeout=300)
            found: list[dict[str, float]] = []
            for _ in track(range(chosen.runs), "injections", console=console):
                found.append(figures(measure(desk)))
            base = baseline(desk)
            moves = [leadership(done, api) for _ in range(LEADER_KILLS if native else 0)]
        finally:
            desk.close()
    middle = statistics.median(base)
    rows = [row("one API write (baseline)", base, middle)]
    rows += [row(name, [f[name] for f in found], middle) for name in found[0]]
    if moves:
        rows.append(row("leader killed (SIGKILL) -> the other replica leads", moves, middle))
    text = report(rows, chosen.runs)
    print(text.replace(BEGIN + "\n", "").replace(END, ""))
    write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
