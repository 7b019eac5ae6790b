"""Bringing the native cluster up and down: the order of things and what is waited for."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from . import components, debian, images, leftovers, netns, pki, settings, supervise, tools
from .commands import run
from .config import API_PORT, HERE, MANIFESTS, NODE, NODE_IP, Config
from .console import say, step
from .errors import ClusterError, LeftoverError
from .forward import free_port
from .kubectl import Kubectl, condition, deployment_ready, wait

PREFERRED_PORT = 16443
_FOR_LOGS = "read the logs in {}"


def client(config: Config, *, inside: bool = False) -> Kubectl:
    """kubectl for this cluster, through the host's port."""
    program = config.bin / "kubectl"
    return Kubectl(program, config.inner_kubeconfig if inside else config.kubeconfig)


def down_components(config: Config) -> list[str]:
    """Components that should run and do not."""
    wanted = (netns.HOLDER, *components.ORDER)
    return [name for name in wanted if supervise.running(config.run, name) is None]


def healthy(config: Config) -> bool:
    return not down_components(config) and client(config).ready()


def up(config: Config) -> None:
    """A Ready node with cluster DNS and the tidegate image; at once where it already is."""
    if os.geteuid() != 0 or sys.platform != "linux":
        raise ClusterError(
            "the native cluster makes namespaces, mounts and cgroups",
            expected="Linux and root",
            found=f"{sys.platform}, uid {os.geteuid()}",
            do="run it as root, or use --provider kind or existing",
        )
    if healthy(config):
        say(f"        the cluster runs already: {config.kubeconfig}")
        images.load(config)
        return
    if config.state.exists():
        say(f"        cleaning up after a run that ended badly: {config.state}")
        down(config)
    if taken := leftovers.occupied():
        raise ClusterError(
            "another kubelet has pods on this machine",
            expected="no process in a kubepods cgroup: two kubelets end each other's pods",
            found=str(taken[0]),
            do="stop it, or use --provider kind or existing",
        )
    debian.ensure()
    binaries = programs(config)
    archives = images.system(config)
    started = time.monotonic()
    _boot(config, binaries, archives)
    say(f"        node {NODE} is Ready, {time.monotonic() - started:.1f} s after the first process")
    images.load(config)


def programs(config: Config) -> dict[str, Path]:
    """Every program by name; built where need be. Also what an up without any cache costs."""
    found: dict[str, Path] = {"containerd": _which("containerd"), "ctr": _which("ctr")}
    for name in ("kubectl", "helm", "etcd", "kubernetes"):
        found |= tools.ensure(config, name)
    return found


def _which(name: str) -> Path:
    found = shutil.which(name)
    if found is None:
        raise ClusterError(f"{name}: no such program", expected="it on PATH")
    return Path(found)


def _boot(config: Config, binaries: Mapping[str, Path], archives: list[Path]) -> None:
    with step("certificates and configuration"):
        _write_state(config, binaries)
    with step("namespaces, etcd, API server") as current:
        holder = netns.create(config)
        port = free_port(PREFERRED_PORT)
        config.kubeconfig.write_text(
            pki.kubeconfig(config.state / "pki", "admin", f"https://127.0.0.1:{port}")
        )
        config.kubeconfig.chmod(0o600)
        lines = components.command_lines(config.state, binaries)
        for name in ("containerd", "etcd", "apiserver"):
            _start(config, holder.pid, name, lines[name])
        door = [sys.executable, "-I", str(HERE / "forward.py"), str(holder.pid), str(port)]
        # The forwarder enters by itself: its listener has to stay on the host's side.
        supervise.start(
            config.run,
            "forward",
            [*door, "127.0.0.1", str(API_PORT)],
            log=config.log / "forward.log",
        )
        kubectl = client(config)
        wait(
            "the API server is not ready",
            lambda: (kubectl.ready(), _dead(config, ("etcd", "apiserver", "forward"))),
            timeout=120,
            step=current,
            do=_FOR_LOGS.format(config.log),
        )
    for name in ("controller-manager", "scheduler", "kubelet", "proxy"):
        _start(config, holder.pid, name, lines[name])
    with step("load system images"):
        images.load_archives(config, archives)
    with step("node Ready") as current:
        wait(
            f"node {NODE} is not Ready",
            lambda: condition(kubectl.json("get", "node", NODE), "Ready"),
            timeout=120,
            step=current,
            do=_FOR_LOGS.format(config.log),
        )
    with step("cluster DNS") as current:
        kubectl.apply((MANIFESTS / "coredns.yaml").read_text())
        wait(
            "CoreDNS is not ready",
            lambda: deployment_ready(kubectl, "kube-system", "coredns"),
            timeout=90,
            step=current,
            do=f"kubectl --kubeconfig {config.kubeconfig} -n kube-system describe pods",
        )


def _write_state(config: Config, binaries: Mapping[str, Path]) -> None:
    state = config.state
    for directory in (config.run, config.log, config.bin, state / "cni"):
        directory.mkdir(parents=True, exist_ok=True)
    (config.run / "mark").write_text(uuid.uuid4().hex)
    pki.make(state / "pki")
    for name in pki.CLIENTS:
        conf = state / f"{name}.conf"
        conf.write_text(pki.kubeconfig(state / "pki", name))
        conf.chmod(0o600)
    (state / "containerd.toml").write_text(settings.containerd(state))
    (state / "cni" / "10-bridge.conflist").write_text(settings.cni(state))
    cgroup_v2 = (leftovers.CGROUPS / "cgroup.controllers").exists()
    (state / "kubelet.yaml").write_text(settings.kubelet(state, cgroup_v2=cgroup_v2))
    (state / "proxy.yaml").write_text(settings.proxy(state))
    for name in ("kubectl", "helm"):
        link = config.bin / name
        link.unlink(missing_ok=True)
        link.symlink_to(binaries[name])


def _start(config: Config, holder: int, name: str, argv: list[str]) -> None:
    log = config.log / f"{name}.log"
    supervise.start(config.run, name, netns.enter(holder, argv), log=log)


def _dead(config: Config, names: tuple[str, ...]) -> str:
    gone = [name for name in names if supervise.running(config.run, name) is None]
    return f"not running: {', '.join(gone)}" if gone else "processes run, /readyz does not answer"


def down(config: Config) -> None:
    """Ends everything of ours; raises LeftoverError naming what would not go."""
    if not config.state.exists():
        say(f"        no cluster in {config.state}")
        return  # a kubelet's cgroups, if there are any, are somebody else's
    mark = supervise.mark(config.run)
    with step("stop the cluster"):
        # The kubelet first, or it restarts what is being killed.
        for name in ("kubelet", "controller-manager", "scheduler"):
            _stop(config, name, grace=2.0)
        _kill_tasks(config)
        for name in reversed((netns.HOLDER, *components.ORDER)):
            _stop(config, name, grace=2.0)
        for pid in leftovers.processes(mark):
            started = supervise.start_time(pid)
            if started is not None:
                supervise.send(supervise.Process(str(pid), pid, started, ()), signal.SIGKILL)
        wait(
            "processes survive",
            lambda: (not leftovers.processes(mark), "some still run"),
            timeout=10,
            every=0.05,
        )
        _sweep(config)
    found = leftovers.find(config, mark)
    if found:
        raise LeftoverError(
            "the cluster is down, but not all of it is gone",
            expected="no process, mount, cgroup, interface or file of it",
            found="\n         ".join(found),
            do="run `down` again; what stays then needs a look by hand",
        )


def _stop(config: Config, name: str, grace: float) -> None:
    process = supervise.running(config.run, name)
    if process is not None:
        supervise.stop(process, grace=grace)


def _kill_tasks(config: Config) -> None:
    """Through containerd, because a task outlives a shim that is merely killed."""
    if supervise.running(config.run, "containerd") is None:
        return
    control = ["ctr", "-a", str(config.containerd_socket), "-n", "k8s.io"]
    try:
        for task in run([*control, "task", "ls", "-q"], timeout=15).split():
            # A task that just ended by itself answers "not found": what we want anyway.
            run(["sh", "-c", '"$@" || true', "sh", *control, "task", "kill", "-s", "9", "-a", task])
    except ClusterError as error:
        say(f"        containerd does not answer, killing its tasks by pid: {error.what}")


def _sweep(config: Config) -> None:
    for point in leftovers.mounts_below(Path("/proc/self/mountinfo").read_text(), config.state):
        run(["umount", "-l", point])
    deadline = time.monotonic() + 5
    while leftovers.cgroups() and time.monotonic() < deadline:
        for path in leftovers.cgroups():
            try:
                path.rmdir()
            except OSError:
                continue  # not yet empty: the kernel is still ending a task
        time.sleep(0.05)
    shutil.rmtree(config.state, ignore_errors=True)
    for place in netns.COVERED:
        with contextlib.suppress(OSError):
            Path(place).rmdir()  # only where empty: made for the bind mount, or nobody's


def status(config: Config) -> list[str]:
    """One line per component, then the node: for people."""
    lines = []
    for name in (netns.HOLDER, *components.ORDER):
        process = supervise.running(config.run, name)
        rss = f"pid {process.pid}, {_rss(process.pid)} MB" if process else "not running"
        lines.append(f"{name:<20} {rss}")
    if client(config).ready():
        node = client(config).json("get", "node", NODE)
        ready, said = condition(node, "Ready")
        lines.append(f"node {NODE:<15} {'Ready' if ready else 'not Ready: ' + said}")
        lines.append(f"{'version':<20} {node['status']['nodeInfo']['kubeletVersion']}")
        lines.append(f"{'inside address':<20} https://{NODE_IP}:{API_PORT}")
    else:
        lines.append("API server           not ready")
    return lines


def _rss(pid: int) -> int:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 1_000_000
