"""Where things are and what they are called: frozen, read from the environment once."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = HERE / "tools"
MANIFESTS = HERE / "manifests"

KUBERNETES = "v1.35.4"
NODE = "node1"
# The node's address must not be loopback, or the kubelet refuses it; these networks exist only
# inside the namespace that `up` makes.
NODE_IP = "10.200.0.1"
NODE_NET = "10.200.0.1/24"
API_PORT = 6443
SERVICE_NET = "10.96.0.0/16"
API_SERVICE_IP = "10.96.0.1"
DNS_IP = "10.96.0.10"
POD_NET = "10.244.0.0/16"
NODE_POD_NET = "10.244.0.0/24"
BRIDGES = ("k8s0", "cni0")
CGROUP = "kubepods"

IMAGE = "localhost/tidegate"
PAUSE_IMAGE = "localhost/pause:dev"
COREDNS_IMAGE = "localhost/coredns:dev"


@dataclass(frozen=True)
class Config:
    """Paths of one cluster. `state` is erased by `down`; `cache` outlives it."""

    state: Path
    cache: Path
    repo: Path
    provider: str = "auto"
    ambient_kubeconfig: str = ""

    @property
    def kubeconfig(self) -> Path:
        """For the host: the API through a port of the host's loopback."""
        return self.state / "kubeconfig"

    @property
    def inner_kubeconfig(self) -> Path:
        """For processes inside the cluster's network namespace."""
        return self.state / "admin.conf"

    @property
    def containerd_socket(self) -> Path:
        return self.state / "containerd.sock"

    def lock(self, what: str) -> Path:
        """Lock file for one kind of work on this cluster; not in `state`, which comes and goes."""
        return self.cache / "locks" / f"{str(self.state).strip('/').replace('/', '-')}.{what}"

    @property
    def run(self) -> Path:
        return self.state / "run"

    @property
    def log(self) -> Path:
        return self.state / "log"

    @property
    def bin(self) -> Path:
        return self.state / "bin"


def from_environment(env: Mapping[str, str] = os.environ, provider: str | None = None) -> Config:
    """Config from TIDEGATE_STATE, TIDEGATE_CACHE, TIDEGATE_CLUSTER and KUBECONFIG."""
    home = Path(env.get("HOME", "/root"))
    return Config(
        state=Path(env.get("TIDEGATE_STATE") or "/tmp/tidegate-cluster"),
        cache=Path(env.get("TIDEGATE_CACHE") or home / ".cache/tidegate"),
        repo=Path(env.get("TIDEGATE_REPO") or HERE.parents[1]),
        provider=provider or env.get("TIDEGATE_CLUSTER") or "auto",
        ambient_kubeconfig=env.get("KUBECONFIG", ""),
    )
