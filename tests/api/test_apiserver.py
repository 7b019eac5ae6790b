"""The real apiserver's judgement: every rule accepts one manifest and refuses one, readably."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from api_kubectl import Kubectl
from api_manifests import BASE, GATE, STRATEGY, TRANSITION, patched
from api_rules import RULES, Rule

from tidegate.api.crd import crds
from tidegate.api.driftgate import DriftGateSpec
from tidegate.api.strategy import StrategySpec
from tidegate.api.transition import GateTransitionSpec

IDS = [f"{rule.kind}-{rule.name}" for rule in RULES]


@pytest.mark.parametrize("rule", RULES, ids=IDS)
def test_rule_accepts_and_refuses(kubectl: Kubectl, rule: Rule) -> None:
    base = BASE[rule.kind]
    good = kubectl.try_create(patched(base, rule.good))
    assert good.ok, good.text
    bad = kubectl.try_create(patched(base, rule.bad))
    assert not bad.ok, f"accepted: {bad.text}"
    assert rule.says in bad.text
    # The user's mistake is what it speaks of, not the insides of CEL.
    assert "evaluation error" not in bad.text


def _messages(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        for rule in schema.get("x-kubernetes-validations", ()):
            yield rule["message"]
        for inner in schema.values():
            yield from _messages(inner)


IMMUTABLE = "an audit record is never changed"
SCALE = "must be > 0"  # its cases look for the path instead


def test_no_rule_is_without_a_case() -> None:
    said = {rule.says for rule in RULES} | {IMMUTABLE, SCALE}
    for message in {m for manifest in crds().values() for m in _messages(manifest)}:
        assert any(part in message for part in said), f"no case for the rule {message!r}"


@pytest.fixture
def keep(kubectl: Kubectl) -> Iterator[Callable[[dict[str, Any]], dict[str, Any]]]:
    """Really create an object; it is deleted afterwards."""
    made = []

    def create(manifest: dict[str, Any]) -> dict[str, Any]:
        created: dict[str, Any] = json.loads(
            kubectl.do("create", "-o", "json", "-f", "-", stdin=manifest)
        )
        made.append(f"{created['kind']}/{created['metadata']['name']}")
        return created

    yield create
    for name in made:
        kubectl.do("delete", name, "--wait=false")


Keep = Callable[[dict[str, Any]], dict[str, Any]]


def test_audit_record_is_never_changed(kubectl: Kubectl, keep: Keep) -> None:
    name = keep(TRANSITION)["metadata"]["name"]
    kubectl.do("label", "gatetransition", name, "checked=yes")
    for change in ({"reason": "Nothing"}, {"message": "x"}, {"strategy": "x"}):
        answer = kubectl(
            "patch", "gatetransition", name, "--type=merge", "-p", json.dumps({"spec": change})
        )
        assert not answer.ok
        assert IMMUTABLE in answer.text


def test_second_record_of_a_number_is_refused(kubectl: Kubectl, keep: Keep) -> None:
    keep(TRANSITION)
    second = kubectl("create", "-f", "-", stdin=patched(TRANSITION, {"spec": {"to": "Stopped"}}))
    assert not second.ok
    assert "already exists" in second.text


@pytest.mark.parametrize(
    ("manifest", "model"),
    [(GATE, DriftGateSpec), (STRATEGY, StrategySpec), (TRANSITION, GateTransitionSpec)],
    ids=["DriftGate", "Strategy", "GateTransition"],
)
def test_apiserver_fills_in_what_the_models_do(
    kubectl: Kubectl, manifest: dict[str, Any], model: type[DriftGateSpec]
) -> None:
    stored = json.loads(kubectl.try_create(manifest).text)["spec"]
    assert stored == model.model_validate(manifest["spec"]).dump()


@pytest.mark.parametrize(
    ("manifest", "status", "says"),
    [
        (GATE, {"allocationPercent": 101}, "less than or equal to 100"),
        (GATE, {"state": "Ajar"}, 'supported values: "Calibrating"'),
        (STRATEGY, {"phase": "Lost"}, 'supported values: "Queued"'),
        (STRATEGY, {"queue": {"position": 0}}, "greater than or equal to 1"),
    ],
)
def test_status_is_held_to_its_schema(
    kubectl: Kubectl, keep: Keep, manifest: dict[str, Any], status: dict[str, Any], says: str
) -> None:
    created = keep(manifest)
    answer = kubectl(
        "patch", created["kind"], created["metadata"]["name"], "--subresource=status",
        "--type=merge", "-p", json.dumps({"status": status}),
    )  # fmt: skip
    assert not answer.ok
    assert says in answer.text


def test_status_is_not_written_with_the_spec(kubectl: Kubectl) -> None:
    answer = kubectl.try_create(patched(GATE, {"status": {"state": "Open"}}))
    assert "status" not in json.loads(answer.text)


COLUMNS = [
    ("strat", STRATEGY, ["NAME", "MODE", "PHASE", "PERMIT", "ALLOC%", "QUEUE", "AGE"]),
    ("gate", GATE, ["NAME", "STATE", "ALLOC%", "DRIFT", "STRATEGIES", "REASON", "AGE"]),
    ("gt", TRANSITION,
     ["NAME", "GATE", "SEQ", "FROM", "TO", "ALLOC%", "REASON", "ACTOR", "AGE"]),
]  # fmt: skip


@pytest.mark.parametrize(("short", "manifest", "columns"), COLUMNS, ids=[c[0] for c in COLUMNS])
def test_short_name_lists_its_columns(
    kubectl: Kubectl, keep: Keep, short: str, manifest: dict[str, Any], columns: list[str]
) -> None:
    name = keep(manifest)["metadata"]["name"]
    header, row = kubectl.do("get", short, name).splitlines()
    assert header.split() == columns
    assert row.split()[0] == name
    wide = kubectl.do("get", short, name, "-o", "wide").splitlines()[0].split()
    wanted = {"strat": {"PRIORITY", "WAITING", "GATES"}, "gate": {"OVERRIDE", "MESSAGE"}}
    assert set(wide) - set(columns) == wanted.get(short, {"MESSAGE"})


def test_record_is_readable_in_one_line(kubectl: Kubectl, keep: Keep) -> None:
    keep(TRANSITION)
    row = kubectl.do("get", "gt", "eth-gate-7", "--no-headers").split()
    assert row[:8] == [
        "eth-gate-7", "eth-gate", "7", "Open", "Suspended", "0", "DriftDetected", "operator",
    ]  # fmt: skip


def test_category_lists_all_kinds(kubectl: Kubectl, keep: Keep) -> None:
    for manifest in BASE.values():
        keep(manifest)
    listed = kubectl.do("get", "tidegate", "-o", "name")
    for name in ("strategy.", "driftgate.", "gatetransition."):
        assert name in listed


def test_explain_describes_what_a_user_fills_in(kubectl: Kubectl) -> None:
    assert "latched" in kubectl.do("explain", "driftgate.spec.emergencyStop")
    assert "Higher first" in kubectl.do("explain", "strategy.spec.priority")
