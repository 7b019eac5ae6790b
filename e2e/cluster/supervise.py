"""Starting, finding and ending processes, so that only our own are ever signalled.

A pid alone may by now belong to someone else. The record of a process also holds the kernel's
start time for it; the pair is unique until the machine boots anew.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from .errors import ClusterError

# Every process we start carries this variable, and what it starts inherits it: shims outlive
# containerd, but not their environment.
MARK = "TIDEGATE_CLUSTER_RUN"


def mark(run: Path) -> str:
    """The run's own name, in the environment of all its processes; empty before it was made."""
    try:
        return (run / "mark").read_text()
    except OSError:
        return ""


@dataclass(frozen=True)
class Process:
    name: str
    pid: int
    started: int  # field 22 of /proc/PID/stat, clock ticks since boot
    argv: tuple[str, ...]

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.pid, os.WNOHANG)  # it is our child where a test started it
        return start_time(self.pid) == self.started


def stat_fields(stat: str) -> list[str]:
    """Fields of /proc/PID/stat from the third on; the second, in brackets, may hold anything."""
    return stat.rpartition(")")[2].split()


def start_time(pid: int) -> int | None:
    """The start time of a running process, or None for one that is gone or a zombie."""
    try:
        fields = stat_fields(Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def _inherited() -> dict[str, str]:
    """Not all of ours: a proxy or a KUBECONFIG set for a person would change what components do."""
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ}


def start(
    run: Path,
    name: str,
    argv: Sequence[str],
    *,
    log: Path,
    env: Mapping[str, str] | None = None,
) -> Process:
    """Starts a process that outlives this one, in a session of its own, output to `log`."""
    run.mkdir(parents=True, exist_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    pid = os.posix_spawnp(
        argv[0],
        list(argv),
        {**_inherited(), **(env or {}), MARK: mark(run)},
        file_actions=[
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
            (os.POSIX_SPAWN_DUP2, 1, 2),
        ],
        setsid=True,
    )
    process = Process(name, pid, start_time(pid) or 0, tuple(argv))
    record = run / f"{name}.json"
    scratch = record.with_suffix(".tmp")
    scratch.write_text(json.dumps(asdict(process)))
    scratch.rename(record)
    return process


def load(run: Path, name: str) -> Process | None:
    """The recorded process, running or not; None where none was ever started."""
    try:
        raw = json.loads((run / f"{name}.json").read_text())
    except (OSError, ValueError):
        return None
    return Process(raw["name"], raw["pid"], raw["started"], tuple(raw["argv"]))


def running(run: Path, name: str) -> Process | None:
    process = load(run, name)
    return process if process is not None and process.alive() else None


def send(process: Process, number: int) -> bool:
    """Signals the process if it is still the one that was recorded; False where it is gone.

    The pidfd pins the process between the check and the signal: a pid that is recycled in
    between can't be hit.
    """
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        if not process.alive():
            return False
        signal.pidfd_send_signal(handle, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)


def stop(process: Process, *, number: int = signal.SIGTERM, grace: float = 5.0) -> None:
    """Ends the process: `number` first, SIGKILL after `grace` seconds."""
    for each, patience in ((number, grace), (signal.SIGKILL, 5.0)):
        if not send(process, each):
            return
        if gone(process, patience):
            return
    raise ClusterError(
        f"{process.name} (pid {process.pid}) survives SIGKILL",
        expected="it gone within 5 s",
        found=Path(f"/proc/{process.pid}/status").read_text()[:200],
        do="it hangs in the kernel; look at /proc/PID/stack",
    )


def gone(process: Process, patience: float) -> bool:
    """Waits up to `patience` seconds for the process to end."""
    deadline = time.monotonic() + patience
    while process.alive():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
