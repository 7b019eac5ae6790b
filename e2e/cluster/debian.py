"""Programs that the machine itself must bring: installed by apt-get, only when missing."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from .commands import answers, run
from .console import step
from .errors import ClusterError

# program -> Debian package. A path stands for a program that is not on PATH.
NATIVE = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "mmdebstrap": "mmdebstrap",
    "openssl": "openssl",
    "ip": "iproute2",
    "nsenter": "util-linux",
    "mount": "mount",
    "cc": "gcc",
    "/usr/lib/x86_64-linux-gnu/libc.a": "libc6-dev",
}


def present(program: str) -> bool:
    return Path(program).exists() if program.startswith("/") else shutil.which(program) is not None


def missing(programs: dict[str, str], have: Callable[[str], bool] = present) -> list[str]:
    """Packages to install for the programs that are not there, each once, in order."""
    return list(dict.fromkeys(pkg for program, pkg in programs.items() if not have(program)))


def ensure(programs: dict[str, str] = NATIVE) -> None:
    packages = missing(programs)
    if not packages:
        return
    if shutil.which("apt-get") is None:
        raise ClusterError(
            "the native cluster needs programs that this machine lacks",
            expected="apt-get to install them with, or all of them on PATH",
            found="missing: " + ", ".join(name for name in programs if not present(name)),
            do="install them, or use --provider kind or existing",
        )
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with step(f"apt-get install {' '.join(packages)}"):
        # Without package lists (a fresh image) every look-up fails.
        if not answers(["apt-cache", "show", packages[0]]):
            run(["apt-get", "update"], env=quiet)
        install = ["apt-get", "install", "-y", "--no-install-recommends", *packages]
        try:
            run(install, env=quiet)
        except ClusterError:  # an old list names packages that have been replaced since
            run(["apt-get", "update"], env=quiet)
            run(install, env=quiet, do=f"run: {' '.join(install)}")
    still = [name for name in programs if not present(name)]
    if still:
        raise ClusterError(
            f"apt-get installed {' '.join(packages)}",
            expected=f"{', '.join(still)} to be there now",
            found=f"not on PATH ({os.environ.get('PATH', '')})",
        )
