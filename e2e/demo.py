"""`make demo`: drift found, trading halted, and opened again, on a real cluster."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from desk import EXAMPLES, Desk, examples
from install import install
from picture import draw
from proxy import proxied
from record import Recorder, Run
from timeline import timeline

OUT = Path("demo-timeline.png")
SLIPPAGE_BPS = 100
# Its own, made anew each time: nobody's desk is touched, and no recovery of an earlier run counts.
NAMESPACE = "tidegate-demo"


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", help="auto, kind, native or existing")
    parser.add_argument("--picture", type=Path, default=OUT, help="default: %(default)s")
    return parser.parse_args()


def main() -> int:
    chosen = options()
    console = Console(stderr=True)
    done = install(provider_name=chosen.provider)
    with proxied(done.kubectl) as api:
        desk = Desk(done.kubectl, api, NAMESPACE, done.image)
        with console.status("what an earlier demo left is removed"):
            done.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
        with console.status("kubectl apply -f examples/"):
            desk.apply(*examples(*sorted(p.name for p in EXAMPLES.glob("[0-9]*.yaml"))))
            desk.wait_phase("Running", count=5, timeout=240)
        console.print("    ok  five strategies run")
        desk.venue(slippageBps=0)
        with console.status("the gate learns what healthy looks like, at its first step"):
            desk.wait_state("Open", timeout=300)
        console.print("    ok  the gate is Open: live orders at 100 %")
        run = perform(desk, console)
    show(run, Console())
    draw(run, chosen.picture)
    print(f"\nPicture: {chosen.picture.resolve()}")
    print(
        f"""
Look around (the cluster keeps running; `make down` ends it):
  export KUBECONFIG={done.provider.kubeconfig()}
  kubectl get strat,gate -n {NAMESPACE}
  kubectl get gt -n {NAMESPACE} --sort-by=.spec.sequence
  kubectl describe gate btc-gate -n {NAMESPACE}
  kubectl logs -n tidegate-system -l app.kubernetes.io/name=tidegate --tail=20"""
    )
    return 0


def perform(desk: Desk, console: Console) -> Run:
    """Inject drift through the venue, take it away once the gate has closed, wait for Open."""
    with Recorder(desk) as recorder:
        with console.status("healthy trading, for the picture"):
            recorder.wait(3)
        desk.venue(slippageBps=SLIPPAGE_BPS)
        console.print(f"    ..  slippage of {SLIPPAGE_BPS} bps injected at the venue")
        with console.status("waiting for the gate"):
            desk.wait_state("Suspended", timeout=60)
            # Read before the venue changes again: it remembers the latest change only.
            recorder.injected(desk.venue())
            recorder.wait(2)
        console.print("    ok  Suspended: no live order leaves")
        recorder.removed(desk.venue(slippageBps=0))
        with console.status("drift removed; the gate opens step by step"):
            desk.wait_state("Open", timeout=180)
            recorder.wait(2)
        console.print("    ok  Open again")
        return recorder.finish()


def show(run: Run, console: Console) -> None:
    table = Table(title="Timeline", title_justify="left")
    table.add_column("since injection", justify="right")
    table.add_column("what happened")
    for moment in timeline(run):
        table.add_row(f"{moment.milliseconds:+,.0f} ms", moment.text)
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
