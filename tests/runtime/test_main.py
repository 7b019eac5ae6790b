"""`tidegate run`: wrong calls are named; a real process trades and stops on SIGTERM."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tidegate.api.wire import Ack, Fill, Probe, Step, decode_reports
from tidegate.runtime.main import RuntimeConfig, UsageError, load, main
from tidegate.runtime.report import PENDING, Reporter

ROOT = Path(__file__).resolve().parents[2]
URL = {"TIDEGATE_VENUE_URL": "ws://v/ws"}


@pytest.mark.parametrize(
    ("env", "named"),
    [
        ({}, "TIDEGATE_VENUE_URL"),
        ({"TIDEGATE_VENUE_URL": "v:80"}, "'v:80'"),
        ({**URL, "TIDEGATE_MODE": "Real"}, "TIDEGATE_MODE.*'Real'"),
        ({**URL, "TIDEGATE_PAPER_LATENCY_MS": "0"}, "TIDEGATE_PAPER_LATENCY_MS.*'0'"),
        ({**URL, "TIDEGATE_PAPER_SPREAD_BPS": "nan"}, "TIDEGATE_PAPER_SPREAD_BPS.*'nan'"),
    ],
)
def test_a_wrong_environment_is_named(env: dict[str, str], named: str) -> None:
    with pytest.raises(UsageError, match=named):
        RuntimeConfig.from_env(env)


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("samples", "MODULE:CLASS"),
        ("no.such.module:X", "PYTHONPATH"),
        ("tidegate.runtime.samples:Nothing", "expected a class"),
        ("tidegate.runtime.strategy:Tick", "derives from"),
    ],
)
def test_a_wrong_target_is_named(target: str, named: str) -> None:
    with pytest.raises(UsageError, match=named):
        load(target)


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "TIDEGATE_VENUE_URL" in capsys.readouterr().err


def test_a_process_reports_what_it_does_and_ends_on_sigterm() -> None:
    env = {**os.environ, "PYTHONPATH": str(ROOT / "operator")}
    with tempfile.TemporaryDirectory(prefix="tg-") as folder:
        inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        inbox.bind(f"{folder}/reports.sock")
        inbox.settimeout(10)
        venue = subprocess.Popen(
            [sys.executable, "-m", "tidegate", "venue", "--host", "127.0.0.1", "--port", "0"],
            env=env, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert venue.stdout is not None
        port = venue.stdout.readline().rsplit(":", 1)[1].strip()
        child = subprocess.Popen(
            [sys.executable, "-m", "tidegate", "run", "tidegate.runtime.samples:Momentum"],
            env={
                **env, "TIDEGATE_RUN_DIR": folder, "TIDEGATE_VENUE_URL": f"ws://127.0.0.1:{port}/ws"
            },
        )  # fmt: skip
        try:
            seen: set[type] = set()
            while not {Step, Probe, Ack, Fill} <= seen:
                for report in decode_reports(inbox.recv(1 << 20)):
                    seen.add(type(report))
                    assert getattr(report, "book", "paper") == "paper", "mode Paper is the default"
            child.send_signal(signal.SIGTERM)
            assert child.wait(5) == 0
        finally:
            for process in (child, venue):
                process.kill()
                process.wait()
            venue.stdout.close()
            inbox.close()


async def test_reports_wait_for_a_guard_and_the_oldest_are_dropped_and_counted() -> None:
    with tempfile.TemporaryDirectory(prefix="tg-") as folder:
        reporter = Reporter(Path(folder) / "reports.sock")
        for n in range(PENDING + 10):
            reporter.add(Step(n, 0, 0))
        reporter.flush()
        assert (reporter.sent, reporter.dropped) == (0, 10)
        inbox = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        inbox.bind(f"{folder}/reports.sock")
        reporter._tried = -1.0
        got: list[int] = []
        while len(got) < PENDING:
            reporter.flush()
            # The short queue of the socket is full: the rest stays pending, nothing blocks.
            got += [r.n for r in decode_reports(inbox.recv(1 << 20)) if isinstance(r, Step)]
        assert got == list(range(10, PENDING + 10))
        reporter.close()
        inbox.close()
