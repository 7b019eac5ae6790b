"""Prometheus Operator and a Prometheus in the native cluster, from images made of Go binaries."""

from __future__ import annotations

from pathlib import Path

import yaml

from . import gobuild, images, tools
from .config import MANIFESTS, Config
from .console import step
from .kubectl import Kubectl, deployment_ready, wait

NAMESPACE = "monitoring"
OPERATOR_IMAGE = "localhost/prometheus-operator:v0.85.0"
RELOADER_IMAGE = "localhost/prometheus-config-reloader:v0.85.0"
PROMETHEUS_IMAGE = "localhost/prometheus:v3.16.0"
_MODULE = "github.com/prometheus-operator/prometheus-operator"


def archives(config: Config) -> list[Path]:
    operator = tools.ensure(config, "prometheus-operator")
    prometheus = tools.ensure(config, "prometheus")["prometheus"]
    reloader = operator["prometheus-config-reloader"]
    # The operator starts the reloader by this very path.
    place = "bin/prometheus-config-reloader"
    nobody = images.NOBODY
    return [
        images.single(
            config,
            OPERATOR_IMAGE,
            {"bin/operator": operator["operator"]},
            "/bin/operator",
            user=nobody,
        ),
        images.single(config, RELOADER_IMAGE, {place: reloader}, f"/{place}", user=nobody),
        images.single(
            config,
            PROMETHEUS_IMAGE,
            {"bin/prometheus": prometheus},
            "/bin/prometheus",
            user=nobody,
        ),
    ]


def operator_manifests(rbac: list[str], template: str) -> str:
    """The operator's account and roles from its module's example/, moved to our namespace. Pure."""
    documents = []
    for text in rbac:
        for document in yaml.safe_load_all(text):
            if document["kind"] == "ServiceAccount":
                document["metadata"]["namespace"] = NAMESPACE
            for subject in document.get("subjects", []):
                subject["namespace"] = NAMESPACE
            documents.append(document)
    return yaml.safe_dump_all(documents) + "---\n" + template


def install(config: Config, kubectl: Kubectl) -> None:
    """Applies all of it and waits until Prometheus serves; changes nothing where it does."""
    made = archives(config)
    example = gobuild.module_directory(config, "prometheus-operator", _MODULE) / "example"
    with step("load monitoring images"):
        images.load_archives(config, made)
    with step("Prometheus Operator") as current:
        for path in sorted((example / "prometheus-operator-crd").glob("*.yaml")):
            kubectl.apply(path.read_text())
        kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        rbac = [
            (example / "rbac/prometheus-operator" / f"prometheus-operator-{name}.yaml").read_text()
            for name in ("service-account", "cluster-role", "cluster-role-binding")
        ]
        template = (MANIFESTS / "prometheus-operator.yaml").read_text()
        kubectl.apply((MANIFESTS / "monitoring-namespace.yaml").read_text())
        kubectl.apply(operator_manifests(rbac, template))
        wait(
            "the Prometheus Operator is not ready",
            lambda: deployment_ready(kubectl, NAMESPACE, "prometheus-operator"),
            timeout=120,
            step=current,
            do=f"kubectl -n {NAMESPACE} logs deploy/prometheus-operator",
        )
    with step("Prometheus") as current:
        kubectl.apply((MANIFESTS / "prometheus.yaml").read_text())
        wait(
            "Prometheus is not ready",
            lambda: _serves(kubectl),
            timeout=180,
            step=current,
            do=f"kubectl -n {NAMESPACE} describe pods",
        )


def _serves(kubectl: Kubectl) -> tuple[bool, str]:
    """Through the API server's service proxy: what tests and people use as well."""
    proxy = f"/api/v1/namespaces/{NAMESPACE}/services/prometheus-operated:web/proxy/-/ready"
    said = kubectl("get", "--raw", proxy)
    return "Ready" in said, said.strip()
