"""The real apiserver with the CustomResourceDefinitions of this tree."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cluster import tools
from cluster.config import from_environment

# pytest's importlib mode puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

from api_kubectl import Kubectl

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tidegate"
# As e2e/install.py installs it, so that Helm takes over what is applied here and the other way.
RELEASE, RELEASE_NAMESPACE = "tidegate", "tidegate-system"


def _rendered_crds() -> list[dict[str, Any]]:
    """The chart's CustomResourceDefinitions with the marks of ownership that Helm adds."""
    helm = tools.ensure(from_environment(), "helm")["helm"]
    words = ["template", RELEASE, str(CHART), "-n", RELEASE_NAMESPACE, "-s", "templates/crds.yaml"]
    done = subprocess.run([str(helm), *words], capture_output=True, text=True, check=True)
    rendered: list[dict[str, Any]] = list(yaml.safe_load_all(done.stdout))
    for manifest in rendered:
        manifest["metadata"].setdefault("annotations", {}).update(
            {
                "meta.helm.sh/release-name": RELEASE,
                "meta.helm.sh/release-namespace": RELEASE_NAMESPACE,
            }
        )
    return rendered


@pytest.fixture(scope="session")
def kubectl(kubeconfig: str) -> Iterator[Kubectl]:
    """In a fresh namespace, after this tree's definitions were applied."""
    program = tools.ensure(from_environment(), "kubectl")["kubectl"]
    made = Kubectl(program, kubeconfig, f"api-tests-{uuid.uuid4().hex[:8]}")
    made.do(
        "apply", "--server-side", "--field-manager=helm", "--force-conflicts", "-f", "-",
        stdin={"apiVersion": "v1", "kind": "List", "items": _rendered_crds()},
    )  # fmt: skip
    names = [m["metadata"]["name"] for m in _rendered_crds()]
    made.do("wait", "--for=condition=Established", "crd", *names, "--timeout=30s")
    made.do("create", "namespace", made.namespace)
    yield made
    made("delete", "namespace", made.namespace, "--wait=false")
