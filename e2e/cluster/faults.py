"""Faults for end-to-end tests: stopping, starting and signalling components of the native cluster.

    faults.stop(config, "apiserver")            # SIGKILL: no goodbye to watchers
    faults.start(config, "apiserver")           # the same command line; waits for /readyz
    with faults.stopped(config, "apiserver"): ...

Every function raises ClusterError; none returns before the fault is in force.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

from . import components, native, supervise
from .commands import run
from .config import Config
from .errors import ClusterError
from .kubectl import wait

READY_TIMEOUT = 90.0


def component(config: Config, name: str) -> supervise.Process:
    """The record of a component, running or not."""
    process = supervise.load(config.run, name) if name in components.ORDER else None
    if process is None:
        raise ClusterError(
            f"{name}: no such component of a running native cluster",
            expected=f"one of {', '.join(components.ORDER)}",
            found=f"no record in {config.run}",
            do="python -m cluster up; faults need the native provider",
        )
    return process


def stop(config: Config, name: str, *, number: int = signal.SIGKILL) -> None:
    """Ends a component and waits until it is gone. One that is down already stays down."""
    supervise.stop(component(config, name), number=number, grace=30.0)


def start(config: Config, name: str) -> None:
    """Starts a stopped component as `up` did, and waits until it serves again."""
    process = component(config, name)
    if not process.alive():
        supervise.start(config.run, name, process.argv, log=config.log / f"{name}.log")
    if name in ("apiserver", "etcd", "forward"):
        wait_ready(config)


def restart(config: Config, name: str, *, number: int = signal.SIGKILL) -> None:
    stop(config, name, number=number)
    start(config, name)


def send(config: Config, name: str, number: int) -> None:
    """Any signal to a running component, SIGSTOP and SIGCONT above all."""
    if not supervise.send(component(config, name), number):
        raise ClusterError(
            f"{name} does not run", expected="a process to signal", do=f"fault {name}-start"
        )


def kill_container(config: Config, namespace: str, pod: str, container: str) -> None:
    """SIGKILL to a container's first process, as the kernel does when memory runs out."""
    status = native.client(config).json("get", "pod", pod, "-n", namespace)["status"]
    listed = [
        *status.get("containerStatuses", ()),
        *status.get("initContainerStatuses", ()),
    ]
    found = next((c.get("containerID") for c in listed if c["name"] == container), None)
    if not found:
        raise ClusterError(
            f"{namespace}/{pod}: no running container {container}",
            expected=f"one of {', '.join(c['name'] for c in listed)}",
        )
    control = ["ctr", "-a", str(config.containerd_socket), "-n", "k8s.io"]
    run([*control, "task", "kill", "-s", "SIGKILL", found.removeprefix("containerd://")])


def wait_ready(config: Config, timeout: float = READY_TIMEOUT) -> None:
    """Waits for /readyz through the host's port."""
    kubectl = native.client(config)
    wait(
        "the API server is not ready",
        lambda: (kubectl.ready(), "/readyz does not answer ok"),
        timeout=timeout,
        every=0.1,
        do=f"read {config.log}/apiserver.log",
    )


@contextmanager
def stopped(config: Config, name: str, *, number: int = signal.SIGKILL) -> Iterator[float]:
    """The component is down within the block and up again after it; yields time.monotonic()."""
    stop(config, name, number=number)
    try:
        yield time.monotonic()
    finally:
        start(config, name)


@contextmanager
def frozen(config: Config, name: str) -> Iterator[float]:
    """The component is there but answers nothing: SIGSTOP within the block, SIGCONT after it."""
    send(config, name, signal.SIGSTOP)
    try:
        yield time.monotonic()
    finally:
        send(config, name, signal.SIGCONT)


def by_name(config: Config, fault: str) -> None:
    """`apiserver-stop`, `etcd-restart`, `kubelet-start`, …: what the command line takes."""
    name, _, action = fault.rpartition("-")
    actions = {"stop": stop, "start": start, "restart": restart}
    if name not in components.ORDER or action not in actions:
        raise ClusterError(
            f"{fault}: no such fault",
            expected="COMPONENT-stop, COMPONENT-start or COMPONENT-restart",
            found=f"components are {', '.join(components.ORDER)}",
        )
    actions[action](config, name)
