"""The planner: never over quota, nobody passed over, the same snapshot the same plan."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal

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
