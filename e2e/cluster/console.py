"""Progress for a person: rich's spinner on a terminal, plain lines with elapsed time elsewhere.

Everything goes to stderr: stdout belongs to what a script reads (`kubeconfig`, `image`, `env`).
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Protocol

HEARTBEAT = 15.0  # seconds between lines where there is no terminal to redraw


class Spinner(Protocol):
    def update(self, status: str) -> None: ...


class Step:
    """One running step; `at` reports how far it is."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.started = time.monotonic()
        self.detail = ""

    def at(self, detail: str) -> None:
        self.detail = detail

    def line(self) -> str:
        elapsed = time.monotonic() - self.started
        return f"{self.title} ({elapsed:.0f} s{', ' + self.detail if self.detail else ''})"


class Ticker:
    """Redraws or repeats a step's line until the step ends, however silent the step is."""

    def __init__(self, step: Step) -> None:
        self.step = step
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Ticker:
        self.thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.done.set()
        self.thread.join()

    def _run(self) -> None:
        if sys.stderr.isatty():
            try:
                from rich.console import Console
            except ImportError:
                pass
            else:
                with Console(stderr=True).status(self.step.line()) as spinner:
                    self._redraw(spinner)
                return
        while not self.done.wait(HEARTBEAT):
            say(f"  … {self.step.line()}")

    def _redraw(self, spinner: Spinner) -> None:
        while not self.done.wait(0.25):
            spinner.update(self.step.line())


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


@contextmanager
def step(title: str) -> Iterator[Step]:
    """Shows `title` while the block runs, then one line with its time and how it ended."""
    current = Step(title)
    mark = "failed"
    try:
        with Ticker(current):
            yield current
        mark = "ok"
    finally:
        elapsed = time.monotonic() - current.started
        tail = f", {current.detail}" if current.detail else ""
        say(f"{mark:>6}  {title} ({elapsed:.1f} s{tail})")
