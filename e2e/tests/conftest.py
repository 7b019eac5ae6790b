"""A real cluster with Tidegate on it, once; a desk in a fresh namespace for each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from desk import EXAMPLES, Desk
from install import Installed, install
from proxy import Api, proxied
from tidegate.api.transition import GateTransitionSpec
from tidegate.core import audit

_count = itertools.count(1)

# Declared, so that a test need not wait for hundreds of healthy fills first.
DECLARED_GATE: dict[str, Any] = {
    "apiVersion": "tidegate.dev/v1alpha1",
    "kind": "DriftGate",
    "metadata": {"name": "btc-gate"},
    "spec": {
        "strategies": {"matchLabels": {"desk": "a"}},
        "reference": {
            "declared": {
                "price": {"scaleBps": "8"},
                "volume": {"scaleBps": "20"},
                "latency": {"scaleBps": "2500"},
                "market": {"scaleBps": "1500"},
            }
        },
        "recovery": {"clearFor": "2s", "dwell": "2s", "maxPerDay": 5},
    },
}


def gate(**spec: Any) -> dict[str, Any]:
    """The declared gate with some fields of its spec replaced."""
    return {**DECLARED_GATE, "spec": {**DECLARED_GATE["spec"], **spec}}


@pytest.fixture(scope="session")
def installed() -> Installed:
    return install(monitoring=True)


@pytest.fixture(scope="session")
def api(installed: Installed) -> Iterator[Api]:
    with proxied(installed.kubectl) as api:
        yield api


@pytest.fixture
def make_desk(
    installed: Installed, api: Api, request: pytest.FixtureRequest
) -> Iterator[Callable[..., Desk]]:
    """A factory of desks; each is deleted afterwards, its audit chain verified before."""
    made: list[Desk] = []

    def factory() -> Desk:
        name = f"e2e-{next(_count)}-{request.node.originalname.removeprefix('test_')[:40]}"
        desk = Desk(installed.kubectl, api, name.replace("_", "-").strip("-")[:60], installed.image)
        made.append(desk)
        return desk

    yield factory
    try:
        for desk in made:
            verify_chain(desk)
    finally:
        for desk in made:
            desk.close()


@pytest.fixture(scope="module")
def shared_desk(installed: Installed, api: Api) -> Iterator[Desk]:
    """One open desk for tests that only read."""
    desk = Desk(installed.kubectl, api, f"e2e-shared-{next(_count)}", installed.image)
    try:
        desk.open(strategies=2, gate=DECLARED_GATE)
        desk.wait_phase("Running", count=2)
        desk.wait_state("Open")
        yield desk
        verify_chain(desk)
    finally:
        desk.close()


def verify_chain(desk: Desk, gate_name: str | None = None) -> list[dict[str, Any]]:
    """Fail unless the gate's audit chain is complete and untampered; returns it."""
    chain = desk.chain(gate_name)
    problems = audit.verify([GateTransitionSpec.model_validate(spec) for spec in chain])
    assert not problems, f"audit chain of {desk.namespace}: {problems}"
    return chain


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    """Two strategies trading under an open, declared gate."""
    desk = make_desk()
    desk.open(strategies=2, gate=DECLARED_GATE)
    desk.wait_phase("Running", count=2)
    desk.wait_state("Open")
    return desk


def example(name: str, *, kind: str) -> dict[str, Any]:
    """One manifest of an example file by kind."""
    docs = yaml.safe_load_all((EXAMPLES / name).read_text())
    return next(doc for doc in docs if doc and doc["kind"] == kind)
