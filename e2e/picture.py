"""One run as a picture: price delta, drift score, allocation over time."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import matplotlib as mpl

from record import Run
from timeline import seconds

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

COLOURS = {"Open": "#d8f0d8", "Suspended": "#f6d5d5", "Recovering": "#fdf0cf",
           "Calibrating": "#e4e4f4", "Stopped": "#e0c0c0"}  # fmt: skip


def draw(run: Run, path: Path) -> None:
    """Write the PNG. Times are seconds since the injection."""
    at = [s.at - run.injected_at for s in run.samples]
    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(11, 7.5), layout="constrained")
    delta, score, allocation = axes
    delta.plot(
        at, [s.price_bps if s.price_bps is not None else float("nan") for s in run.samples],
        color="#1f4e79",
    )  # fmt: skip
    delta.set_ylabel("live - paper\nprice (bps)")
    score.plot(*_scores(run), color="#7a1f1f")
    score.axhline(1, color="#7a1f1f", linewidth=0.8, linestyle=":")
    score.set_ylabel("drift score")
    score.set_ylim(-0.05, 1.1)
    allocation.step(*_allocations(run), where="post", color="#1f5c2e")
    allocation.set_ylabel("allocation (%)")
    allocation.set_ylim(-5, 108)
    allocation.set_xlabel("seconds since the drift was injected")
    _shade(run, axes)
    for axis in axes:
        axis.axvline(0, color="black", linewidth=0.8)
        axis.axvline(run.removed_at - run.injected_at, color="black", linewidth=0.8, linestyle="--")
        axis.grid(alpha=0.25)
        axis.margins(x=0)
    delta.set_title("Drift injected (solid), halted, drift removed (dashed), re-opened", loc="left")
    figure.savefig(path, dpi=120)
    plt.close(figure)


def _scores(run: Run) -> tuple[list[float], list[float]]:
    """Times and scores: the samples, and what each audit record says of its own moment."""
    points = [(s.at, s.score) for s in run.samples]
    points += [(seconds(r["times"]["decided"]), float(r["driftScore"])) for r in run.chain]
    points.sort()
    return [at - run.injected_at for at, _ in points], [score for _, score in points]


def _allocations(run: Run) -> tuple[list[float], list[int]]:
    """Times and allocations from the audit records: exact, not sampled."""
    first, last = run.samples[0], run.samples[-1]
    changes = [(seconds(r["times"]["written"]), int(r["allocationPercent"])) for r in run.chain]
    points = [(first.at, first.allocation), *changes, (last.at, last.allocation)]
    return [at - run.injected_at for at, _ in points], [allocation for _, allocation in points]


def _shade(run: Run, axes: Iterable[Axes]) -> None:
    """The gate's state behind the lines, from the audit records: exact, not sampled."""
    end = run.samples[-1].at - run.injected_at
    begin, state = run.samples[0].at - run.injected_at, "Open"
    changes = [(seconds(r["times"]["written"]) - run.injected_at, r["to"]) for r in run.chain]
    for until, following in [*changes, (end, "")]:
        for axis in axes:
            axis.axvspan(begin, until, color=COLOURS.get(state, "white"), linewidth=0)
        begin, state = until, following
