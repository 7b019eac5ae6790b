"""What is still on the machine of a native cluster: processes, mounts, cgroups, interfaces.

The readers are pure (text of /proc in, findings out); `find` feeds them.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .config import BRIDGES, CGROUP, Config
from .supervise import MARK, stat_fields

CGROUPS = Path("/sys/fs/cgroup")


def mounts_below(mountinfo: str, state: Path) -> list[str]:
    """Mount points in the state directory, deepest first. Pure."""
    points = []
    for line in mountinfo.splitlines():
        fields = line.split()
        if len(fields) > 4:
            point = Path(fields[4].replace("\\040", " "))
            if point == state or state in point.parents:
                points.append(str(point))
    return sorted(points, key=len, reverse=True)


def interfaces(net_dev: str, names: Iterable[str] = BRIDGES) -> list[str]:
    """Our bridges among the interfaces of /proc/net/dev. Pure."""
    found = [line.split(":")[0].strip() for line in net_dev.splitlines() if ":" in line]
    return [name for name in names if name in found]


def carries(environ: bytes, mark: str) -> bool:
    """Whether a process's /proc/PID/environ holds the mark of a run. Pure.

    Not by namespace: the kernel gives the number of one that ended to the next, anybody's.
    """
    return bool(mark) and f"{MARK}={mark}".encode() in environ.split(b"\0")


def members(marked: Iterable[int], parents: Mapping[int, int]) -> list[int]:
    """Marked pids and all their descendants. Pure.

    A container has an environment of its own; it is found as the child of a shim, which has ours.
    """
    found = set(marked)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(more)
        found |= more
    return sorted(found)


def processes(mark: str) -> list[int]:
    """Live pids that belong to the run with this mark."""
    marked: list[int] = []
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        pid = int(entry.name)
        try:
            fields = stat_fields((entry / "stat").read_text())
            if fields[0] in "ZX":
                continue
            parents[pid] = int(fields[1])
            if carries((entry / "environ").read_bytes(), mark):
                marked.append(pid)
        except OSError:
            continue  # it ended while we looked
    mine = os.getpid()
    return [pid for pid in members(marked, parents) if pid != mine]


def cgroups() -> list[Path]:
    """The kubelet's cgroup trees, deepest first."""
    roots = [*CGROUPS.glob(f"*/{CGROUP}"), *CGROUPS.glob(CGROUP)]
    found = [path for root in roots for path in (root, *root.rglob("*")) if path.is_dir()]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def occupied() -> list[Path]:
    """Cgroups of a kubelet that hold live processes."""
    found = []
    for path in cgroups():
        with contextlib.suppress(OSError):
            if (path / "cgroup.procs").read_text().strip():
                found.append(path)
    return found


def describe(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        words = ""
    return f"process {pid} {words[:100].strip()}"


def find(config: Config, mark: str) -> list[str]:
    """One line per thing that is still there; an empty list is a clean machine."""
    found = [describe(pid) for pid in processes(mark)]
    mountinfo = Path("/proc/self/mountinfo").read_text()
    found += [f"mount {point}" for point in mounts_below(mountinfo, config.state)]
    found += [f"cgroup {path}" for path in cgroups() if path.name == CGROUP]
    found += [f"interface {name}" for name in interfaces(Path("/proc/net/dev").read_text())]
    if config.state.exists():
        found.append(f"directory {config.state}")
    return found
