"""Fixtures for tests that talk to the real apiserver."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tidegate.kube.api import KubeApi
from tidegate.kube.client import AiohttpKubeApi
from tidegate.kube.config import load_config

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def kubeconfig() -> str:
    """Of a running cluster; without one the test is skipped, or fails where one is required."""
    named = os.environ.get("TIDEGATE_KUBECONFIG")
    if named:
        return named
    asked = subprocess.run(
        [sys.executable, "-m", "cluster", "kubeconfig"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "e2e")},
        capture_output=True,
        text=True,
        check=False,
    )
    path = asked.stdout.strip()
    if asked.returncode == 0 and Path(path).is_file():
        return path
    if os.environ.get("TIDEGATE_REQUIRE_CLUSTER"):
        pytest.fail(f"no cluster, but TIDEGATE_REQUIRE_CLUSTER is set: {asked.stderr.strip()}")
    pytest.skip("no cluster: `make up` starts one")


@pytest.fixture
async def real_api(kubeconfig: str) -> AsyncIterator[KubeApi]:
    config = load_config({"KUBECONFIG": kubeconfig})
    async with config.session() as session:
        yield AiohttpKubeApi(session, config.base_url)
