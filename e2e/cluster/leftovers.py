"""What is still on the machine of a native cluster: processes, mounts, cgroups, interfaces.

The readers are pure (text of /proc in, findings out); `find` feeds them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from .config import BRIDGES, CGROUP, Config
from .supervise import stat_fields

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


def members(
    namespaces: Mapping[int, tuple[str, ...]], parents: Mapping[int, int], ours: Iterable[str]
) -> list[int]:
    """Pids inside our namespaces and all their descendants. Pure.

    A container has namespaces of its own; it is found as the child of a shim, which has ours.
    """
    wanted = {name for name in ours if name}
    found = {pid for pid, names in namespaces.items() if wanted & set(names)}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found} - found
        grown = bool(more)
        found |= more
    return sorted(found)


def own_namespaces(config: Config) -> tuple[str, ...]:
    try:
        return tuple((config.run / "namespaces").read_text().split())
    except OSError:
        return ()


def processes(ours: Iterable[str]) -> list[int]:
    """Live pids that belong to the cluster with these namespaces."""
    wanted = tuple(ours)
    if not wanted:
        return []
    namespaces: dict[int, tuple[str, ...]] = {}
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
            namespaces[pid] = tuple(
                str((entry / "ns" / kind).readlink()) for kind in ("net", "mnt")
            )
        except OSError:
            continue  # it ended while we looked
    mine = os.getpid()
    return [pid for pid in members(namespaces, parents, wanted) if pid != mine]


def cgroups() -> list[Path]:
    """The kubelet's cgroup trees, deepest first."""
    roots = [*CGROUPS.glob(f"*/{CGROUP}"), *CGROUPS.glob(CGROUP)]
    found = [path for root in roots for path in (root, *root.rglob("*")) if path.is_dir()]
    return sorted(found, key=lambda path: len(path.parts), reverse=True)


def describe(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        words = ""
    return f"process {pid} {words[:100].strip()}"


def find(config: Config, ours: Iterable[str]) -> list[str]:
    """One line per thing that is still there; an empty list is a clean machine."""
    found = [describe(pid) for pid in processes(ours)]
    mountinfo = Path("/proc/self/mountinfo").read_text()
    found += [f"mount {point}" for point in mounts_below(mountinfo, config.state)]
    found += [f"cgroup {path}" for path in cgroups() if path.name == CGROUP]
    found += [f"interface {name}" for name in interfaces(Path("/proc/net/dev").read_text())]
    if config.state.exists():
        found.append(f"directory {config.state}")
    return found
