"""Heartbeat, health, residuals and the gates that govern: the small pure parts."""

import math
from typing import Any

import pytest
from fake_kube import gate, strategy
from hypothesis import given
from hypothesis import strategies as st

from tidegate.api.wire import Probe, Quote
from tidegate.guard.config import ConfigError, GuardConfig
from tidegate.guard.governing import Governing
from tidegate.guard.health import Health
from tidegate.guard.heartbeat import HeartbeatSeen
from tidegate.guard.pairing import AckPair, LegResult, Pair, Problem
from tidegate.guard.signals import (
    Residual,
    of_acks,
    of_pair,
    of_probe,
    of_quote,
    to_bps,
    to_unit,
)

SECOND = 1_000_000_000
FAMILIES = frozenset({"price", "volume", "latency", "market"})


def test_heartbeat_counts_from_the_sight_before() -> None:
    seen = HeartbeatSeen()
    seen.look("a", 10.0)
    assert seen.at is None, "a Lease that is there may be an hour old"
    seen.look("a", 11.0)
    assert seen.at is None
    seen.look("b", 12.0)
    assert seen.at == 10.0
    seen.look("c", 13.0)
    assert seen.at == 12.0
    seen.gone()
    seen.look("d", 100.0)
    assert seen.at == 12.0
    seen.look("e", 101.0)
    assert seen.at == 100.0


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=40))
def test_heartbeat_never_says_more_than_the_last_renewal(steps: list[tuple[float, bool]]) -> None:
    seen, now, renewed, version = HeartbeatSeen(), 0.0, -math.inf, 0
    for pause, renew in steps:
        now += pause
        if renew:
            version, renewed = version + 1, now
        now += pause / 2  # seen late
        seen.look(str(version), now)
        assert seen.at is None or seen.at <= renewed


def reasons(health: Health, now: int) -> list[str]:
    return [
        f"{f.kind}/{f.reason}"
        for f in health.faults(now, stale_after=2 * SECOND, families=FAMILIES)
    ]


def test_nothing_at_all_is_a_fault_after_ten_seconds() -> None:
    health = Health(0)
    assert reasons(health, 9 * SECOND) == []
    assert reasons(health, 10 * SECOND) == ["noData/NoReports"]
    health.heard(11 * SECOND)
    assert reasons(health, 12 * SECOND) == []
    assert reasons(health, 14 * SECOND) == [
        "stale/QuotesStale",
        "stale/ProbesStale",
        "stale/StepsStale",
    ]


def test_one_silent_feed_is_named() -> None:
    health = Health(0)
    health.heard(0)
    for now in range(5):
        health.feed("quote", now * SECOND)
        health.feed("step", now * SECOND)
    assert reasons(health, 5 * SECOND) == ["stale/ProbesStale"]
    only_price = health.faults(5 * SECOND, stale_after=2 * SECOND, families=frozenset({"price"}))
    assert only_price == ()


def test_an_invalid_episode_keeps_its_first_message_and_ends_two_seconds_after_its_last() -> None:
    health = Health(0)
    health.problem(Problem("Crossed", "first"), SECOND)
    health.problem(Problem("Crossed", "second"), 2 * SECOND)
    (fault,) = health.faults(4 * SECOND, stale_after=SECOND, families=FAMILIES)
    assert (fault.kind, fault.message) == ("invalid", "first")
    assert reasons(health, 4 * SECOND + 1) == []


def pair(side: Any, live: float | None, *, filled: float = 1.0, cancelled: bool = False) -> Pair:
    return Pair(
        "k", "BTC", side, LegResult(2.0, 2.0, 100.0), LegResult(1.0, filled, live, cancelled)
    )


def test_positive_price_is_worse_on_either_side() -> None:
    assert of_pair(pair("buy", 101.0))[-1] == Residual("price", 0.01, live=True)
    assert of_pair(pair("sell", 99.0))[-1] == Residual("price", 0.01, live=True)
    assert of_pair(pair("sell", 101.0))[-1] == Residual("price", -0.01, live=True)


def test_no_live_fill_is_volume_without_price_and_a_cancelled_order_neither() -> None:
    assert of_pair(pair("buy", None, filled=0.0)) == [Residual("volume", -1.0, live=True)]
    assert of_pair(pair("buy", None, filled=0.0, cancelled=True)) == []


def test_latency_and_market_are_log_ratios() -> None:
    assert of_acks(AckPair("k", 1_000_000, 2_000_000)).x == pytest.approx(math.log(2))
    assert of_probe(Probe(10**400, 1, 0)) is not None
    found = of_quote(Quote("BTC", 100.0, 100.04, 0.02, 0))
    assert isinstance(found, Residual)
    assert found.x == pytest.approx(math.log(2), rel=1e-6)
    assert of_quote(Quote("BTC", 100.0, 100.0, 0.02, 0)) is None


@given(st.floats(), st.floats(), st.floats(), st.integers(), st.integers())
def test_no_quote_or_probe_raises(a: float, b: float, c: float, m: int, n: int) -> None:
    of_quote(Quote("BTC", a, b, c, 0))
    of_probe(Probe(m, n, 0))


@given(st.sampled_from(sorted(FAMILIES)), st.floats(0, 1e5))
def test_units_roundtrip(family: str, bps: float) -> None:
    assert to_bps(family, to_unit(family, bps)) == pytest.approx(bps, abs=1e-6)


def test_labels_and_selector_decide_which_gates_govern() -> None:
    governing = Governing("s1", paper=False, saved=lambda name, digest: {})
    governing.replace([gate("g1"), gate("g2", strategies={"matchLabels": {"desk": "b"}})])
    assert governing.gates == []
    assert not governing.known
    governing.strategy(strategy())
    assert [g.name for g in governing.gates] == ["g1"]
    relabelled = strategy()
    relabelled["metadata"]["labels"] = {"desk": "b"}
    governing.strategy(relabelled)
    assert [g.name for g in governing.gates] == ["g2"]
    assert governing.orphaned_by == []


def test_a_status_change_keeps_the_watch_and_an_edit_of_signals_does_not() -> None:
    governing = Governing("s1", paper=False, saved=lambda name, digest: {})
    governing.strategy(strategy())
    governing.change(gate(), True)
    watch = governing.gates[0].watch
    governing.change(gate(state="Recovering", allocation=10, sequence=2, permitTTL="5s"), True)
    assert governing.gates[0].watch is watch
    assert watch is not None
    assert watch.sequence == 2
    assert watch.spec.permit_ttl == "5s"
    governing.change(gate(detection={"falseAlarmsPerMillion": "1"}), True)
    assert governing.gates[0].watch is not watch


def test_what_a_deleted_gate_leaves_behind() -> None:
    governing = Governing("s1", paper=False, saved=lambda name, digest: {})
    governing.strategy(strategy())
    releasing = gate("g2", annotations={"tidegate.dev/on-delete": "release"})
    governing.replace([gate("g1"), releasing])
    governing.change(releasing, False)
    assert governing.orphaned_by == []
    governing.replace([])  # g1 went while the watch was cut
    assert [(o.gate, o.on_delete) for o in governing.orphaned_by] == [("g1", "Halt")]
    governing.strategy(strategy(orphanedBy=[{"gate": "g1", "onDelete": "Halt"}]))
    assert [o.gate for o in governing.orphaned_by] == ["g1"]
    governing.strategy(strategy())
    assert governing.orphaned_by == [], "the operator's word replaced our own"
    governing.replace([gate("g1")])
    governing.change(gate("g1"), False)
    governing.change(gate("g1"), True)
    assert governing.orphaned_by == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"TIDEGATE_STRATEGY": ""}, "TIDEGATE_STRATEGY"),
        ({"TIDEGATE_MODE": "live"}, "TIDEGATE_MODE.*'live'"),
        ({"TIDEGATE_GUARD_PORT": "http"}, "TIDEGATE_GUARD_PORT.*'http'"),
    ],
)
def test_a_wrong_environment_is_named(change: dict[str, str], named: str) -> None:
    env = {
        "TIDEGATE_STRATEGY": "s1", "TIDEGATE_NAMESPACE": "ns", "TIDEGATE_OPERATOR_NAMESPACE": "op",
    }  # fmt: skip
    assert GuardConfig.from_env(env).port == 9464
    with pytest.raises(ConfigError, match=named):
        GuardConfig.from_env({**env, **change})
