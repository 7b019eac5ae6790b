"""The private network and mount namespace in which the native cluster lives.

One sleeping process, the holder, keeps both alive; everything else enters through it. Interfaces
and mounts made inside vanish with the last process, so `down` has little to undo.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from . import supervise
from .commands import run
from .config import NODE_NET, Config
from .errors import ClusterError

HOLDER = "holder"
ETCD_SIZE = "512m"
COVERED = ("/var/log", "/var/lib/cni", "/var/lib/kubelet")
_SETUP = (
    "ip link set lo up",
    "ip link add k8s0 type bridge",
    f"ip addr add {NODE_NET} dev k8s0",
    "ip link set k8s0 up",
    # The kubelet wants a default route, though nothing ever leaves through it.
    "ip route add default dev k8s0",
    "sysctl -qw net.ipv4.ip_forward=1",
    "sysctl -qw net.bridge.bridge-nf-call-iptables=1",
)


def inode(pid: int | str, kind: str) -> str:
    """Identity of a process's namespace, such as `net:[4026531833]`; empty where it is gone."""
    try:
        return str(Path(f"/proc/{pid}/ns/{kind}").readlink())
    except OSError:
        return ""


def create(config: Config) -> supervise.Process:
    """Makes the namespaces, their bridge and etcd's tmpfs; returns the holder."""
    argv = ["unshare", "--net", "--mount", "--propagation", "private", "sleep", "infinity"]
    holder = supervise.start(config.run, HOLDER, argv, log=config.log / "holder.log")
    deadline = time.monotonic() + 5
    while inode(holder.pid, "mnt") in ("", inode("self", "mnt")):
        if not holder.alive() or time.monotonic() > deadline:
            raise ClusterError(
                "unshare --net --mount failed",
                expected="a process in namespaces of its own",
                found=(config.log / "holder.log").read_text().strip() or "no namespaces after 5 s",
                do="run as root with CAP_SYS_ADMIN, or use --provider kind or existing",
            )
        time.sleep(0.01)
    # unshare has become `sleep` by now or will in a moment: same pid, same start time.
    for line in _SETUP:
        # Bridge netfilter is a module that not every kernel has; kube-proxy then masquerades.
        try:
            run(enter(holder.pid, line.split()))
        except ClusterError:
            if "bridge-nf-call" not in line:
                raise
    _mount(config, holder.pid)
    return holder


def _mount(config: Config, pid: int) -> None:
    """Covers the places outside the state directory that components write to, and etcd's data."""
    (config.state / "etcd").mkdir(exist_ok=True)
    tmpfs = ["mount", "-t", "tmpfs", "-o"]
    run(enter(pid, [*tmpfs, f"size={ETCD_SIZE},mode=700", "tmpfs", str(config.state / "etcd")]))
    # containerd keeps pods' network namespaces in /run/netns, kube-proxy its lock in /run.
    run(enter(pid, [*tmpfs, "size=64m,mode=755", "tmpfs", "/run"]))
    # Whatever they are told, kubelet links logs in /var/log and keeps device plugins in
    # /var/lib/kubelet, and libcni caches in /var/lib/cni.
    for place in COVERED:
        cover = config.state / "covers" / place.strip("/").replace("/", "-")
        cover.mkdir(parents=True, exist_ok=True)
        Path(place).mkdir(parents=True, exist_ok=True)
        run(enter(pid, ["mount", "--bind", str(cover), place]))


def enter(pid: int, argv: Sequence[str]) -> list[str]:
    """Argument list that runs `argv` inside; nsenter execs it, so the pid stays the program's."""
    return ["nsenter", "-t", str(pid), "-n", "-m", "--", *argv]


def holder(config: Config) -> supervise.Process:
    process = supervise.running(config.run, HOLDER)
    if process is None:
        raise ClusterError(
            "the native cluster is not running",
            expected=f"a live holder process recorded in {config.run}",
            found="none",
            do="python -m cluster up",
        )
    return process
