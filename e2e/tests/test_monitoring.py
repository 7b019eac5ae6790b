"""A real Prometheus Operator and Prometheus scrape the operator and the guards by the chart."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from desk import Desk, wait_for
from proxy import Api

PROMETHEUS = "/api/v1/namespaces/monitoring/services/prometheus-operated:web/proxy/api/v1/query"


def query(api: Api, promql: str) -> list[dict[str, object]]:
    answer = json.loads(api.text(f"{PROMETHEUS}?query={quote(promql)}"))
    assert answer["status"] == "success", answer
    found: list[dict[str, object]] = answer["data"]["result"]
    return found


@pytest.fixture(autouse=True)
def prometheus(installed: object) -> None:
    provider = installed.provider.name  # type: ignore[attr-defined]
    if provider == "existing":
        pytest.skip("an existing cluster's Prometheus is not ours to install")


def test_operators_and_guards_are_scraped(desk: Desk, api: Api) -> None:
    up = f'count(up{{namespace="{desk.namespace}"}} == 1)'
    wait_for("both guards are up", lambda: _is(query(api, up), 2), timeout=90)
    both = 'count(up{namespace="tidegate-system"} == 1)'
    wait_for("both operators are up", lambda: _is(query(api, both), 2), timeout=90)
    wait_for("one leads", lambda: _is(query(api, "sum(tidegate_leader)"), 1), timeout=30)


@pytest.mark.parametrize(
    "promql",
    [
        'gate_state{{namespace="{ns}",gate="btc-gate",state="Open"}} == 1',
        'gate_allocation_percent{{namespace="{ns}",gate="btc-gate"}} == 100',
        'drift_score{{namespace="{ns}",gate="btc-gate"}}',
        'gate_transitions_total{{namespace="{ns}",to="Open"}}',
        'gate_audit_records_total{{namespace="{ns}"}} >= 2',
        'gate_evidence_age_seconds{{namespace="{ns}"}} < 5',
        'gate_override_active{{namespace="{ns}"}} == 0',
        'optimizer_running{{namespace="{ns}"}} == 2',
        'paper_live_delta{{namespace="{ns}",family="price"}}',
    ],
)
def test_what_is_measured_reaches_prometheus(promql: str, shared_desk: Desk, api: Api) -> None:
    text = promql.format(ns=shared_desk.namespace)
    wait_for(text, lambda: query(api, text), timeout=60)


def _is(result: list[dict[str, object]], number: int) -> bool:
    return bool(result) and result[0]["value"][1] == str(number)  # type: ignore[index]
