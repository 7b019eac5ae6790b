"""The planner: never over quota, nobody passed over, the same snapshot the same plan."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.admission import Pending, Quota, Snapshot, applies, plan, quota

EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
RESOURCES = ("requests.cpu", "requests.memory", "pods")
amounts = st.integers(0, 8).map(Decimal)


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    quotas = [
        Quota(f"q{i}", draw(st.dictionaries(st.sampled_from(RESOURCES), amounts)),
              draw(st.dictionaries(st.sampled_from(RESOURCES), amounts)))
        for i in range(draw(st.integers(0, 3)))
    ]  # fmt: skip
    pending = [
        Pending(
            name=f"s{i}",
            priority=draw(st.integers(-1, 2)),
            created=EPOCH + timedelta(seconds=draw(st.integers(0, 3))),
            demand={r: draw(amounts) for r in RESOURCES},
            quotas=frozenset(draw(st.sets(st.sampled_from([q.name for q in quotas] or ["none"])))),
        )
        for i in range(draw(st.integers(0, 6)))
    ]
    return Snapshot(quotas, pending)


@given(snapshots())
def test_the_admitted_never_exceed_a_quota(snapshot: Snapshot) -> None:
    by_name = {p.name: p for p in snapshot.pending}
    taken: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for action in plan(snapshot):
        if action.kind == "Admit":
            pending = by_name[action.name]
            for q in pending.quotas:
                for resource, amount in pending.demand.items():
                    taken[q, resource] += amount
    for q in snapshot.quotas:
        for resource, hard in q.hard.items():
            if taken[q.name, resource]:
                assert q.used.get(resource, Decimal(0)) + taken[q.name, resource] <= hard


@given(snapshots())
def test_whoever_waits_is_not_delayed_by_those_behind(snapshot: Snapshot) -> None:
    by_name = {p.name: p for p in snapshot.pending}
    short: set[tuple[str, str]] = set()
    for action in plan(snapshot):
        pending = by_name[action.name]
        if action.kind == "Admit":
            uses = {(q, r) for q in pending.quotas for r, n in pending.demand.items() if n > 0}
            assert not uses & short
        elif action.kind == "Wait":
            short |= {(w.quota, w.resource) for w in action.waiting_for if w.short != "0"}


@given(snapshots())
def test_the_plan_is_total_and_deterministic(snapshot: Snapshot) -> None:
    actions = plan(snapshot)
    assert sorted(a.name for a in actions) == sorted(p.name for p in snapshot.pending)
    assert actions == plan(Snapshot(snapshot.quotas[::-1][::-1], snapshot.pending[::-1]))
    positions = [a.position for a in actions if a.kind != "Admit"]
    assert positions == list(range(1, len(positions) + 1))


@given(snapshots())
def test_higher_priority_then_age_goes_first(snapshot: Snapshot) -> None:
    by_name = {p.name: p for p in snapshot.pending}
    order = [by_name[a.name] for a in plan(snapshot)]
    keys = [(-p.priority, p.created, p.name) for p in order]
    assert keys == sorted(keys)


def admitted_demand(snapshot: Snapshot) -> dict[tuple[str, str], Decimal]:
    by_name = {p.name: p for p in snapshot.pending}
    total: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for action in plan(snapshot):
        if action.kind == "Admit":
            for q in by_name[action.name].quotas:
                for resource, amount in by_name[action.name].demand.items():
                    total[q, resource] += amount
    return total


@given(snapshots())
def test_whoever_waits_keeps_room_for_all_that_it_is_not_short_of(snapshot: Snapshot) -> None:
    by_name, hard = {p.name: p for p in snapshot.pending}, {q.name: q for q in snapshot.quotas}
    taken = admitted_demand(snapshot)
    for action in plan(snapshot):
        if action.kind != "Wait":
            continue
        pending = by_name[action.name]
        named = {(w.quota, w.resource) for w in action.waiting_for}
        for name in pending.quotas & hard.keys():
            for resource in hard[name].hard.keys() - {r for q, r in named if q == name}:
                if pending.demand[resource]:
                    used = hard[name].used[resource]
                    room = hard[name].hard[resource] - used - taken[name, resource]
                    assert room >= pending.demand[resource]


@given(snapshots())
def test_the_first_that_waits_truly_does_not_fit(snapshot: Snapshot) -> None:
    actions = plan(snapshot)
    first = next((i for i, a in enumerate(actions) if a.kind == "Wait"), None)
    if first is None:
        return
    ahead = {a.name for a in actions[:first] if a.kind == "Admit"}
    fewer = Snapshot(
        snapshot.quotas, [p for p in snapshot.pending if p.name in {*ahead, actions[first].name}]
    )
    assert [a.kind for a in plan(fewer)] == ["Admit"] * len(ahead) + ["Wait"]


@given(snapshots())
def test_freeing_what_the_first_is_short_of_lets_it_in(snapshot: Snapshot) -> None:
    """Backfill never delays: after the plan is carried out, only what was named is missing."""
    actions = plan(snapshot)
    waiting = next((a for a in actions if a.kind == "Wait"), None)
    if waiting is None:
        return
    taken = admitted_demand(snapshot)
    named = {(w.quota, w.resource) for w in waiting.waiting_for}
    later = [
        Quota(q.name, q.hard, {
            r: Decimal(0) if (q.name, r) in named else q.used.get(r, Decimal(0)) + taken[q.name, r]
            for r in q.hard
        })
        for q in snapshot.quotas
    ]  # fmt: skip
    remaining = [p for p in snapshot.pending if p.name == waiting.name]
    assert [a.kind for a in plan(Snapshot(later, remaining))] == ["Admit"]


def pending(name: str, cpu: str, priority: int = 0) -> Pending:
    return Pending(name, priority, EPOCH, {"requests.cpu": Decimal(cpu)}, frozenset({"desk"}))


def desk(hard: str, used: str) -> Quota:
    return Quota("desk", {"requests.cpu": Decimal(hard)}, {"requests.cpu": Decimal(used)})


def test_waiting_names_the_resource_the_quota_and_what_is_short() -> None:
    (action,) = plan(Snapshot([desk("2", "1.5")], [pending("a", "0.7")]))
    (short,) = action.waiting_for
    assert (short.resource, short.quota, short.short) == ("requests.cpu", "desk", "200m")
    assert (action.kind, action.position) == ("Wait", 1)


def test_one_that_can_never_fit_says_so_and_holds_nobody_up() -> None:
    actions = plan(Snapshot([desk("2", "0")], [pending("huge", "64", 9), pending("small", "1")]))
    assert [(a.name, a.kind) for a in actions] == [("huge", "Exceeds"), ("small", "Admit")]
    assert "64 requests.cpu" in actions[0].message


def test_a_resource_that_the_quota_counts_must_be_stated() -> None:
    bare = Pending("bare", 0, EPOCH, {"pods": Decimal(1)}, frozenset({"desk"}))
    (action,) = plan(Snapshot([desk("2", "0")], [bare]))
    assert action.kind == "Lacks"
    assert "requests.cpu" in action.message


def test_the_containers_that_do_not_state_it_are_named() -> None:
    bare = Pending(
        "bare", 0, EPOCH, {"pods": Decimal(1)}, frozenset({"desk"}),
        {"limits.memory": ("tidegate-guard", "strategy")},
    )  # fmt: skip
    counted = Quota("desk", {"limits.memory": Decimal(1)}, {"limits.memory": Decimal(0)})
    (action,) = plan(Snapshot([counted], [bare]))
    assert action.message == (
        "quota desk counts limits.memory: expected resources.limits.memory in every container, "
        "not stated by tidegate-guard, strategy"
    )


def test_backfill_takes_what_is_left_and_never_what_the_one_ahead_needs() -> None:
    def two(name: str, cpu: int, memory: int, priority: int = 0) -> Pending:
        demand = {"requests.cpu": Decimal(cpu), "requests.memory": Decimal(memory)}
        return Pending(name, priority, EPOCH, demand, frozenset({"desk"}))

    both = {"requests.cpu": Decimal(4), "requests.memory": Decimal(8)}
    used = {"requests.cpu": Decimal(3), "requests.memory": Decimal(0)}
    ahead = two("ahead", 2, 6, priority=9)

    def kinds(*behind: Pending) -> list[str]:
        return [a.kind for a in plan(Snapshot([Quota("desk", both, used)], [ahead, *behind]))]

    assert kinds(two("modest", 0, 2)) == ["Wait", "Admit"]
    assert kinds(two("greedy", 0, 3)) == ["Wait", "Wait"]  # ahead would be left without memory
    assert kinds(two("tiny", 1, 0)) == ["Wait", "Wait"]  # ahead waits for that very cpu
    # One that waits behind another has its amount set aside as well: 6 and 1 of 8 are spoken for.
    assert kinds(two("a", 1, 1), two("b", 0, 1)) == ["Wait", "Wait", "Admit"]
    assert kinds(two("a", 1, 1), two("b", 0, 2)) == ["Wait", "Wait", "Wait"]


def test_a_quota_that_is_not_counted_yet_is_waited_for() -> None:
    new = quota({"metadata": {"name": "desk"}, "spec": {"hard": {"requests.cpu": "2"}}})
    (action,) = plan(Snapshot([new], [pending("a", "1")]))
    assert action.kind == "Wait"
    assert "not counted yet" in action.message


@pytest.mark.parametrize(("spec", "status"), [("4", "2"), ("2", "4")])
def test_a_quota_that_is_being_changed_counts_as_the_smaller(spec: str, status: str) -> None:
    changing = quota(
        {
            "metadata": {"name": "desk"},
            "spec": {"hard": {"requests.cpu": spec}},
            "status": {"hard": {"requests.cpu": status}, "used": {"requests.cpu": "0"}},
        }
    )
    assert changing.hard["requests.cpu"] == 2


def test_a_quota_object_is_read_in_base_units() -> None:
    found = quota(
        {
            "metadata": {"name": "desk"},
            "spec": {"hard": {"requests.cpu": "1500m"}},
            "status": {"hard": {"requests.cpu": "1500m"}, "used": {"requests.cpu": "1"}},
        }
    )
    assert found == Quota("desk", {"requests.cpu": Decimal("1.5")}, {"requests.cpu": Decimal(1)})


def test_scopes_select_pods_as_kubernetes_does() -> None:
    bounded = {"activeDeadlineSeconds": 5, "containers": [{"name": "a"}]}
    sized = {"containers": [{"name": "a", "resources": {"requests": {"cpu": "1"}}}]}
    vip = {"priorityClassName": "vip", "containers": []}
    selector = {"scopeName": "PriorityClass", "operator": "In", "values": ["vip"]}
    by_class = {"scopeSelector": {"matchExpressions": [selector]}}
    assert applies({"scopes": ["Terminating"]}, bounded)
    assert not applies({"scopes": ["NotTerminating"]}, bounded)
    assert applies({"scopes": ["BestEffort"]}, bounded)
    assert applies({"scopes": ["NotBestEffort"]}, sized)
    assert not applies({"scopes": ["BestEffort"]}, sized)
    assert applies(by_class, vip)
    assert not applies(by_class, sized)
    assert applies({}, sized)


@pytest.mark.parametrize(
    ("pod", "best_effort"),
    [
        ({"containers": [{"name": "a", "resources": {"requests": {"cpu": "0"}}}]}, True),
        ({"containers": [{"name": "a", "resources": {"limits": {"x/gpu": "1"}}}]}, True),
        ({"containers": [{"name": "a"}], "resources": {"limits": {"memory": "1Gi"}}}, False),
        ({"containers": [], "initContainers": [
            {"name": "i", "resources": {"limits": {"cpu": "1"}}}]}, False),
    ],
)  # fmt: skip
def test_best_effort_is_the_qos_class(pod: dict[str, Any], best_effort: bool) -> None:
    assert applies({"scopes": ["BestEffort"]}, pod) is best_effort
    assert applies({"scopes": ["NotBestEffort"]}, pod) is not best_effort


@pytest.mark.parametrize(
    ("operator", "values", "name", "selected"),
    [
        ("In", ["vip"], "vip", True), ("In", ["vip"], None, False),
        ("NotIn", ["vip"], "vip", False), ("NotIn", ["vip"], None, True),
        ("Exists", [], "x", True), ("Exists", [], None, False),
        ("DoesNotExist", [], "x", False), ("DoesNotExist", [], None, True),
    ],
)  # fmt: skip
def test_priority_classes_are_selected_by_operator(
    operator: str, values: list[str], name: str | None, selected: bool
) -> None:
    expression = {"scopeName": "PriorityClass", "operator": operator, "values": values}
    pod = {"priorityClassName": name} if name else {}
    assert applies({"scopeSelector": {"matchExpressions": [expression]}}, pod) is selected


def test_only_affinity_beyond_the_namespace_is_in_that_scope() -> None:
    scope = {"scopes": ["CrossNamespacePodAffinity"]}
    term = {"topologyKey": "host", "namespaces": ["other"]}
    required = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    preferred = {
        "podAntiAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {"weight": 1, "podAffinityTerm": {"topologyKey": "host", "namespaceSelector": {}}}
            ]
        }
    }
    assert applies(scope, {"affinity": required})
    assert applies(scope, {"affinity": preferred})
    assert not applies(scope, {})


def test_a_scope_of_other_objects_never_selects_a_pod() -> None:
    assert not applies({"scopes": ["VolumeAttributesClass"]}, {"containers": []})
