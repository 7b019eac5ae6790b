"""The story of one run in milliseconds since the drift was injected. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from record import Run


@dataclass(frozen=True, order=True)
class Moment:
    milliseconds: float
    text: str


def seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()


def timeline(run: Run) -> list[Moment]:
    """Every moment in order of time."""
    found: list[tuple[float, str]] = [
        (run.injected_at, "drift injected at the venue"),
        (run.first_drifted_fill_at, "first drifted fill"),
        (run.removed_at, "drift removed at the venue"),
    ]
    if run.halted_at:
        first = min(run.halted_at, key=run.halted_at.__getitem__)
        last = max(run.halted_at, key=run.halted_at.__getitem__)
        found.append((run.halted_at[first], f"{first}: own permit halted by its guard"))
        found.append(
            (run.halted_at[last], f"all {len(run.halted_at)} permits halted (last: {last})")
        )
    for record in run.chain:
        allocation = record["allocationPercent"]
        found.append(
            (
                seconds(record["times"]["written"]),
                f"gate {record['to']} {allocation} % ({record['reason']}, record "
                f"{record['gate']}-{record['sequence']})",
            )
        )
    return sorted(Moment((at - run.injected_at) * 1000, text) for at, text in found)
