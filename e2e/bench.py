"""`make bench`: how fast trading stops and comes back, on the real cluster.

Prints a table and writes it to docs/benchmarks.md. The baseline is measured in the same run on the
same machine: one write to the apiserver (a merge patch of the gate's annotation), since the path
that is timed holds two of them (the record and the status).
"""

from __future__ import annotations

import argparse
import json
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

from desk import Desk, examples
from install import install
from proxy import proxied
from record import Recorder, Run
from timeline import seconds

REPORT = Path(__file__).resolve().parent.parent / "docs" / "benchmarks.md"
BEGIN, END = "<!-- response: begin -->", "<!-- response: end -->"
SLIPPAGE_BPS = 100
NAMESPACE = "bench"


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
        "evidence seen -> Suspended recorded": (
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
    with proxied(done.kubectl) as api:
        desk = Desk(done.kubectl, api, NAMESPACE, done.image)
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
        finally:
            desk.close()
    middle = statistics.median(base)
    rows = [row("one API write (baseline)", base, middle)]
    rows += [row(name, [f[name] for f in found], middle) for name in found[0]]
    text = report(rows, chosen.runs)
    print(text.replace(BEGIN + "\n", "").replace(END, ""))
    print(json.dumps(found[-1]), file=sys.stderr)
    write(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
