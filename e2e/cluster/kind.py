"""The kind provider: a cluster in Docker, for machines that have Docker and kind."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from . import tools
from .commands import run
from .config import IMAGE, Config
from .console import say, step
from .errors import ClusterError
from .kubectl import Kubectl

CLUSTER = "tidegate"


def create_command(kubeconfig: Path) -> list[str]:
    create = ["kind", "create", "cluster", "--name", CLUSTER, "--wait", "180s"]
    return [*create, "--kubeconfig", str(kubeconfig)]


def delete_command(kubeconfig: Path) -> list[str]:
    return ["kind", "delete", "cluster", "--name", CLUSTER, "--kubeconfig", str(kubeconfig)]


def build_command(repo: Path, tag: str) -> list[str]:
    return ["docker", "build", "--tag", tag, "--file", str(repo / "Dockerfile"), str(repo)]


def load_command(*tags: str) -> list[str]:
    return ["kind", "load", "docker-image", "--name", CLUSTER, *tags]


def image_tag(inspected: str) -> str:
    """The reference by content, from `docker image inspect`: its id is the configuration's hash."""
    identity: str = json.loads(inspected)[0]["Id"]
    algorithm, _, value = identity.partition(":")
    if algorithm != "sha256" or len(value) != hashlib.sha256().digest_size * 2:
        raise ClusterError(
            "docker image inspect", expected="an Id such as sha256:…", found=identity
        )
    return f"{IMAGE}:{value[:12]}"


class Kind:
    name = "kind"

    def __init__(self, config: Config) -> None:
        self.config = config

    def up(self) -> None:
        if shutil.which("kind") is None:
            raise ClusterError(
                "kind: no such program",
                expected="kind on PATH",
                do="install kind, or use --provider native",
            )
        if self.healthy():
            say(f"        the cluster runs already: {self.config.kubeconfig}")
        else:
            self.down()
            self._link_clients()
            with step(f"kind create cluster {CLUSTER}"):
                run(create_command(self.config.kubeconfig), timeout=900)
        self.load()

    def down(self) -> None:
        with step(f"kind delete cluster {CLUSTER}"):
            run(delete_command(self.config.kubeconfig))
        shutil.rmtree(self.config.state, ignore_errors=True)

    def healthy(self) -> bool:
        listed = run(["kind", "get", "clusters"]).split()
        return CLUSTER in listed and self.config.kubeconfig.is_file() and self._kubectl().ready()

    def status(self) -> list[str]:
        return self._kubectl()("get", "nodes").splitlines()

    def kubeconfig(self) -> Path:
        if not self.config.kubeconfig.is_file():
            raise ClusterError(f"{self.config.kubeconfig} is not there", do="python -m cluster up")
        return self.config.kubeconfig

    def image(self) -> str:
        run(build_command(self.config.repo, f"{IMAGE}:dev"), timeout=1800)
        reference = image_tag(run(["docker", "image", "inspect", f"{IMAGE}:dev"]))
        run(["docker", "tag", f"{IMAGE}:dev", reference])
        return reference

    def load(self) -> str:
        with step("tidegate image") as current:
            reference = self.image()
            current.at(reference)
            run(load_command(f"{IMAGE}:dev", reference))
        return reference

    def monitoring(self) -> None:
        raise ClusterError(
            "monitoring is built for the native provider only",
            expected="--provider native",
            do="on kind, install the kube-prometheus-stack chart",
        )

    def _kubectl(self) -> Kubectl:
        return Kubectl(tools.ensure(self.config, "kubectl")["kubectl"], self.config.kubeconfig)

    def _link_clients(self) -> None:
        self.config.bin.mkdir(parents=True, exist_ok=True)
        for name in tools.CLIENTS:
            link = self.config.bin / name
            link.unlink(missing_ok=True)
            link.symlink_to(tools.ensure(self.config, name)[name])
