"""Three ways to a cluster behind one interface: kind, native, and one that exists already."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from . import atomic, images, monitoring, native, tools
from .commands import answers
from .config import Config
from .console import say
from .errors import ClusterError
from .kind import Kind
from .kubectl import Kubectl


class Provider(Protocol):
    @property
    def name(self) -> str: ...
    def up(self) -> None: ...
    def down(self) -> None: ...
    def healthy(self) -> bool: ...
    def status(self) -> list[str]: ...
    def kubeconfig(self) -> Path: ...
    def image(self) -> str:
        """Reference by content hash of the image that the work tree makes."""

    def load(self) -> str:
        """Builds that image, makes it known to every node, returns its reference."""

    def monitoring(self) -> None: ...


class Native:
    name = "native"

    def __init__(self, config: Config) -> None:
        self.config = config

    def up(self) -> None:
        with atomic.lock(self.config.lock("up")):
            native.up(self.config)

    def down(self) -> None:
        with atomic.lock(self.config.lock("up")):
            native.down(self.config)

    def healthy(self) -> bool:
        return native.healthy(self.config)

    def status(self) -> list[str]:
        return native.status(self.config)

    def kubeconfig(self) -> Path:
        if not self.config.kubeconfig.is_file():
            raise ClusterError(
                f"{self.config.kubeconfig} is not there",
                expected="a native cluster that is up",
                do="python -m cluster up",
            )
        return self.config.kubeconfig

    def image(self) -> str:
        return images.tidegate(self.config).reference

    def load(self) -> str:
        return images.load(self.config)

    def monitoring(self) -> None:
        with atomic.lock(self.config.lock("up")):
            monitoring.install(self.config, native.client(self.config))


class Existing:
    """A cluster that someone else runs. Its nodes' images are not ours to load."""

    name = "existing"

    def __init__(self, config: Config) -> None:
        self.config = config

    def up(self) -> None:
        if not self.healthy():
            raise ClusterError(
                "the existing cluster does not answer",
                expected="/readyz of the current context",
                found=f"KUBECONFIG={self.config.ambient_kubeconfig or '(unset)'}",
                do="kubectl cluster-info",
            )

    def down(self) -> None:
        say("        an existing cluster is left as it is")

    def healthy(self) -> bool:
        return self._kubectl().ready()

    def status(self) -> list[str]:
        return self._kubectl()("get", "nodes").splitlines()

    def kubeconfig(self) -> Path:
        first = self.config.ambient_kubeconfig.split(os.pathsep)[0]
        path = Path(first) if first else Path.home() / ".kube" / "config"
        if not path.is_file():
            raise ClusterError(
                f"{path} is not there",
                expected="a kubeconfig named by KUBECONFIG",
                do="set KUBECONFIG, or choose another --provider",
            )
        return path

    def image(self) -> str:
        return self.load()

    def load(self) -> str:
        reference = os.environ.get("TIDEGATE_IMAGE", "")
        if not reference:
            raise ClusterError(
                "an image can't be loaded into an existing cluster",
                expected="TIDEGATE_IMAGE: a reference that its nodes can pull or have",
                do="docker build -t REGISTRY/tidegate . && docker push REGISTRY/tidegate",
            )
        return reference

    def monitoring(self) -> None:
        raise ClusterError(
            "monitoring is not installed into an existing cluster",
            expected="the cluster's own Prometheus Operator",
        )

    def _kubectl(self) -> Kubectl:
        return Kubectl(tools.ensure(self.config, "kubectl")["kubectl"], self.kubeconfig())


PROVIDERS: dict[str, Callable[[Config], Provider]] = {
    "kind": Kind,
    "native": Native,
    "existing": Existing,
}


def pick(wanted: str, *, docker: bool, kind: bool, linux_root: bool) -> str:
    """The provider for `wanted`; auto never takes an existing cluster. Pure."""
    if wanted in PROVIDERS:
        return wanted
    if wanted != "auto":
        raise ClusterError(
            f"TIDEGATE_CLUSTER={wanted}", expected="auto, " + ", ".join(PROVIDERS), found=wanted
        )
    if docker and kind:
        return "kind"
    if linux_root:
        return "native"
    raise ClusterError(
        "no way to make a cluster on this machine",
        expected="Docker and kind, or root on Linux",
        found=f"docker answers: {docker}, kind on PATH: {kind}, root on Linux: {linux_root}",
        do="install kind and start Docker, run as root, or use --provider existing",
    )


def choose(config: Config) -> Provider:
    auto = config.provider == "auto"
    kind = auto and shutil.which("kind") is not None
    docker = kind and answers(["docker", "info"]) is not None
    linux_root = sys.platform == "linux" and os.geteuid() == 0
    name = pick(config.provider, docker=docker, kind=kind, linux_root=linux_root)
    return PROVIDERS[name](config)
