"""Tidegate on a cluster: the image loaded, the chart installed, the release ready."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from cluster import tools
from cluster.commands import run
from cluster.config import Config, from_environment
from cluster.console import step
from cluster.kubectl import Kubectl
from cluster.providers import Provider, choose

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "charts" / "tidegate"
NAMESPACE = "tidegate-system"
RELEASE = "tidegate"


@dataclass(frozen=True)
class Installed:
    """A cluster with Tidegate on it."""

    config: Config
    provider: Provider
    kubectl: Kubectl
    helm: Path
    image: str

    def helm_run(self, *words: str) -> str:
        kubeconfig = f"--kubeconfig={self.provider.kubeconfig()}"
        return run([str(self.helm), *words, kubeconfig], timeout=300)

    def operators(self) -> list[str]:
        """Names of the operator's pods."""
        listed = self.kubectl.json(
            "get", "pods", "-n", NAMESPACE, "-l", "app.kubernetes.io/name=tidegate"
        )
        return [pod["metadata"]["name"] for pod in listed["items"]]

    def leader(self) -> str:
        """Name of the pod that leads; empty when none does."""
        lease = self.kubectl.json("get", "lease", "-n", NAMESPACE, "tidegate-leader")
        return str(lease["spec"].get("holderIdentity") or "").split("_")[0]


def install(*, monitoring: bool = False, provider_name: str | None = None) -> Installed:
    """Bring up the cluster, load this tree's image, `helm upgrade --install`, wait until ready.

    Idempotent: what runs already is kept, the image and the chart are brought up to date.
    """
    config = from_environment(provider=provider_name)
    provider = choose(config)
    provider.up()
    if monitoring:
        provider.monitoring()
    image = provider.load()
    clients = tools.ensure(config, "helm") | tools.ensure(config, "kubectl")
    kubectl = Kubectl(clients["kubectl"], provider.kubeconfig())
    done = Installed(config, provider, kubectl, clients["helm"], image)
    repository, _, tag = image.rpartition(":")
    with step("helm upgrade --install tidegate"):
        done.helm_run(
            "upgrade", "--install", RELEASE, str(CHART),
            "--namespace", NAMESPACE, "--create-namespace",
            "--set", f"image.repository={repository},image.tag={tag},image.pullPolicy=Never",
            "--set", f"serviceMonitor.enabled={json.dumps(monitoring)}",
            "--set", "serviceMonitor.interval=1s",
            "--wait", "--timeout", "180s",
        )  # fmt: skip
    return done
