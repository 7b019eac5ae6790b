"""Every program the cluster runs, pinned, and where its binary is: PATH, cache or a build.

The pins themselves are in tools/<module>/go.mod and go.sum; -mod=readonly makes Go refuse any
module whose hash is not the one in go.sum.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from .commands import answers
from .config import KUBERNETES, TOOLS, Config
from .console import say
from .errors import ClusterError
from .gobuild import build
from .versions import Fit, parse, show
from .wheels import kubectl_and_helm


@dataclass(frozen=True)
class GoTool:
    """Binaries from one Go module, built and cached together."""

    name: str
    module: str  # directory below tools/
    version: str
    packages: tuple[str, ...]
    binaries: tuple[str, ...]
    tags: str = ""
    stamps: tuple[str, ...] = ()  # linker -X settings: clients refuse an empty version
    fit: Fit | None = None  # versions on PATH that serve as well; None: always built

    def flags(self) -> tuple[str, ...]:
        stamps = "".join(f" -X {stamp}" for stamp in self.stamps)
        tags = ("-tags", self.tags) if self.tags else ()
        return ("-trimpath", "-mod=readonly", *tags, "-ldflags", f"-s -w{stamps}")

    def key(self, tools: Path = TOOLS) -> str:
        """Directory name in the cache: changes with go.mod, go.sum, own sources and flags."""
        digest = hashlib.sha256("\0".join((*self.flags(), *self.packages)).encode())
        for source in sorted((tools / self.module).iterdir()):
            if source.suffix in (".mod", ".sum", ".go"):
                digest.update(f"\0{source.name}\0".encode() + source.read_bytes())
        return f"{self.name}-{self.version}-{digest.hexdigest()[:12]}"


def _kubernetes_stamps() -> tuple[str, ...]:
    major, minor, _ = KUBERNETES.lstrip("v").split(".")
    values = {
        "gitVersion": KUBERNETES,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "2026-01-01T00:00:00Z",
    }
    places = ("k8s.io/component-base/version", "k8s.io/client-go/pkg/version")
    return tuple(f"{place}.{key}={value}" for place in places for key, value in values.items())


_COMMANDS = "k8s.io/kubernetes/cmd"
_SERVERS = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kubelet",
    "kube-proxy",
)
_OPERATOR = "github.com/prometheus-operator/prometheus-operator/cmd"
_PROMETHEUS = "github.com/prometheus/prometheus/cmd"
# Of the service discoveries only Kubernetes is linked: the cloud SDKs are half of the build.
_DISCOVERY = "remove_all_sd,enable_kubernetes_sd"
_PROMETHEUS_STAMP = ("github.com/prometheus/common/version.Version=3.16.0",)

GO_TOOLS = {
    tool.name: tool
    for tool in (
        GoTool(
            "kubernetes",
            "k8s",
            KUBERNETES,
            tuple(f"{_COMMANDS}/{name}" for name in _SERVERS),
            _SERVERS,
            tags="selinux,notest,grpcnotrace",
            stamps=_kubernetes_stamps(),
            fit=Fit((1, 35, 0), (1, 36, 0)),
        ),
        GoTool(
            "etcd",
            "etcd",
            "v3.6.16",
            ("go.etcd.io/etcd/server/v3",),
            ("etcd",),
            fit=Fit((3, 6, 0), (3, 7, 0)),
        ),
        # Never from PATH: it has to be static to stand alone in an image.
        GoTool("coredns", "coredns", "v1.13.1", (".",), ("coredns",)),
        # Never from PATH: Debian's is built without Kubernetes discovery.
        GoTool(
            "prometheus",
            "prometheus",
            "v0.316.0",
            (f"{_PROMETHEUS}/prometheus",),
            ("prometheus",),
            tags=_DISCOVERY,
            stamps=_PROMETHEUS_STAMP,
        ),
        GoTool(
            "promtool",
            "prometheus",
            "v0.316.0",
            (f"{_PROMETHEUS}/promtool",),
            ("promtool",),
            tags=_DISCOVERY,
            stamps=_PROMETHEUS_STAMP,
            fit=Fit((2, 42, 0)),
        ),
        GoTool(
            "prometheus-operator",
            "prometheus-operator",
            "v0.85.0",
            (f"{_OPERATOR}/operator", f"{_OPERATOR}/prometheus-config-reloader"),
            ("operator", "prometheus-config-reloader"),
            stamps=("github.com/prometheus/common/version.Version=0.85.0",),
        ),
    )
}
# A kubectl may be one minor version away from the server.
CLIENTS = {"kubectl": Fit((1, 34, 0), (1, 37, 0)), "helm": Fit((3, 14, 0), (5, 0, 0))}
_VERSION_COMMAND = {"kubectl": ("version", "--client"), "helm": ("version", "--short")}


def on_path(binary: str, fit: Fit) -> Path | None:
    """The program on PATH, if its version fits; says so when one is there and does not."""
    found = shutil.which(binary)
    if found is None:
        return None
    version = parse(answers([found, *_VERSION_COMMAND.get(binary, ("--version",))]) or "")
    if fit.accepts(version):
        say(f"        using {found} {show(version) if version else ''}")
        return Path(found)
    return None


def ensure(config: Config, name: str) -> dict[str, Path]:
    """Paths of the binaries of a tool, by name; built first where neither PATH nor cache has it."""
    if name in CLIENTS:
        found = on_path(name, CLIENTS[name]) or kubectl_and_helm(config) / name
        return {name: found}
    tool = GO_TOOLS.get(name)
    if tool is None:
        raise ClusterError(
            f"{name}: no such tool", expected="one of " + ", ".join([*GO_TOOLS, *CLIENTS])
        )
    home = config.cache / tool.key()
    cached = {binary: home / binary for binary in tool.binaries}
    if all(path.is_file() for path in cached.values()):
        return cached
    if tool.fit is not None:
        ready = {binary: on_path(binary, tool.fit) for binary in tool.binaries}
        fitting = {binary: path for binary, path in ready.items() if path is not None}
        if len(fitting) == len(tool.binaries):
            return fitting
    build(
        config,
        title=f"build {tool.name} {tool.version}",
        module=tool.module,
        flags=tool.flags(),
        packages=tool.packages,
        binaries=tool.binaries,
        home=home,
    )
    return cached
