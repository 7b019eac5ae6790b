"""Real processes: a record is enough to end one, and never enough to end another's."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest

from cluster import supervise


def begin(tmp_path: Path, script: str = "sleep 60") -> supervise.Process:
    log = tmp_path / "log" / "it.log"
    return supervise.start(tmp_path / "run", "it", ["sh", "-c", script], log=log)


def test_a_started_process_is_found_and_stopped(tmp_path: Path) -> None:
    process = begin(tmp_path)
    assert supervise.running(tmp_path / "run", "it") == process
    supervise.stop(process)
    assert not process.alive()
    assert supervise.running(tmp_path / "run", "it") is None
    assert supervise.load(tmp_path / "run", "it") == process


def test_a_recycled_pid_is_never_signalled(tmp_path: Path) -> None:
    process = begin(tmp_path)
    stranger = replace(process, started=process.started - 1)
    assert not stranger.alive()
    assert not supervise.send(stranger, signal.SIGKILL)
    time.sleep(0.05)
    assert process.alive()
    supervise.stop(process, number=signal.SIGKILL)


def test_one_that_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    process = begin(tmp_path, f"trap '' TERM; touch {ready}; while :; do sleep 0.05; done")
    while not ready.exists():
        time.sleep(0.01)
    started = time.monotonic()
    supervise.stop(process, grace=0.2)
    assert not process.alive()
    assert time.monotonic() - started >= 0.2


def test_a_zombie_does_not_count_as_alive(tmp_path: Path) -> None:
    process = begin(tmp_path, "exit 3")
    assert supervise.gone(process, 5.0)


def test_it_lives_in_a_session_of_its_own_and_logs(tmp_path: Path) -> None:
    process = begin(tmp_path, "echo out; echo err >&2; sleep 60")
    try:
        assert os.getsid(process.pid) == process.pid
        log = tmp_path / "log" / "it.log"
        deadline = time.monotonic() + 5
        while log.read_text() != "out\nerr\n" and time.monotonic() < deadline:
            time.sleep(0.01)
        assert log.read_text() == "out\nerr\n"
    finally:
        supervise.stop(process)


@pytest.mark.parametrize("content", ["", "{", json.dumps("x")[:2]])
def test_a_torn_record_counts_as_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "it.json").write_text(content)
    assert supervise.load(tmp_path, "it") is None


def test_it_carries_the_mark_of_its_run_and_no_proxy_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mark").write_text("abc")
    log = tmp_path / "it.log"
    process = supervise.start(tmp_path / "run", "it", ["env"], log=log)
    assert supervise.gone(process, 5.0)
    lines = log.read_text().splitlines()
    assert f"{supervise.MARK}=abc" in lines
    assert not [line for line in lines if line.startswith("HTTPS_PROXY")]
