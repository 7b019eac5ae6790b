"""Pairing: whatever the order of events, each pair once, with the right numbers, in bounds."""

import math
import random
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.api.wire import Ack, Book, Done, Fill, Order
from tidegate.guard.pairing import AckPair, Outcome, Pair, Pairing, Problem

SECOND = 1_000_000_000
Event = Order | Ack | Fill | Done


def leg(
    key: str,
    book: Book,
    *,
    price: float = 100.0,
    parts: tuple[float, ...] = (1.0,),
    of: float = 1.0,
) -> list[Event]:
    filled = math.fsum(parts)
    fills: list[Event] = [
        Fill(key, book, f"{book}-{key}-{i}", price, part, 0) for i, part in enumerate(parts)
    ]
    return [
        Order(key, book, "BTC", "buy", of, 100.0, 0),
        Ack(key, book, 1000 if book == "paper" else 3000, 0),
        *fills,
        Done(key, book, "filled" if filled == of else "expired", 0, filled),
    ]


def run(pairing: Pairing, events: list[Event], now: int = 0) -> list[Outcome]:
    return [outcome for event in events for outcome in pairing.take(event, now)]


def test_a_pair_has_both_vwaps_and_ratios() -> None:
    events = leg("k", "paper") + leg("k", "live", price=101.0, parts=(0.25, 0.5))
    assert run(Pairing(), events)[0] == AckPair("k", 1000, 3000)
    (pair,) = [o for o in run(Pairing(), events) if isinstance(o, Pair)]
    assert pair.paper.vwap == 100.0
    assert pair.live.vwap == 101.0
    assert pair.live.ratio == 0.75


def test_every_order_of_events_yields_the_same_pair() -> None:
    events = leg("k", "paper")[:1] + leg("k", "paper")[2:] + leg("k", "live", parts=(0.5, 0.5))
    events = [e for e in events if not isinstance(e, Ack)]
    results = set()
    for order in permutations(events):
        outcomes = run(Pairing(), list(order))
        assert len(outcomes) == 1
        results.add(repr(outcomes[0]))
    assert len(results) == 1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), orders=st.integers(1, 40), lost=st.floats(0, 0.3))
def test_each_pair_at_most_once_under_shuffling_loss_and_repetition(
    seed: int, orders: int, lost: float
) -> None:
    rng = random.Random(seed)
    events: list[Event] = []
    for i in range(orders):
        events += leg(f"k{i}", "paper") + leg(f"k{i}", "live", parts=(0.3, 0.7))
    events = [e for e in events if rng.random() >= lost]
    events += [e for e in events if rng.random() < 0.1]
    rng.shuffle(events)
    pairing = Pairing()
    pairs = [o.key for o in run(pairing, events) if isinstance(o, Pair)]
    assert len(pairs) == len(set(pairs))
    pairing.expire(10 * SECOND)
    assert len(pairing) == 0


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_memory_is_bounded_whatever_comes(seed: int) -> None:
    rng = random.Random(seed)
    pairing = Pairing(capacity=16, trades=32)
    for i in range(2000):
        key, book = f"k{rng.randrange(10_000)}", rng.choice(("paper", "live"))
        event: Any = rng.choice(leg(key, book))
        if isinstance(event, Fill):
            event = Fill(key, book, f"t{i}", 1.0, 1.0, 0)
        pairing.take(event, i * SECOND // 100)
        assert pairing.remembered <= 16 + 16 + 32
    pairing.expire(10**12)
    assert len(pairing) == 0


numbers = st.one_of(
    st.floats(), st.sampled_from([0.0, -0.0, 5e-324, 1e-300, 1e308, math.nan, math.inf])
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), numbers, numbers), max_size=30))
def test_no_number_raises_and_no_pair_holds_nonsense(items: list[tuple[int, float, float]]) -> None:
    pairing = Pairing()
    for i, (kind, a, b) in enumerate(items):
        book: Book = "live" if kind & 1 else "paper"
        event: Event
        match kind >> 1:
            case 0:
                event = Order("k", book, "BTC", "sell", a, b, 0)
            case 1:
                event = Fill("k", book, str(i), a, b, 0)
            case 2:
                event = Done("k", book, "expired", 0, a)
            case _:
                event = Ack("k", book, -1 if a < 0 else 5, 0)
        for outcome in pairing.take(event, i):
            if isinstance(outcome, Pair):
                for result in (outcome.paper, outcome.live):
                    assert result.ordered > 0.0
                    assert 0.0 <= result.ratio <= 1.0 + 1e-8
                    assert result.vwap is None or 0.0 < result.vwap < math.inf


def test_a_trade_id_twice_is_a_problem_and_counts_once() -> None:
    pairing = Pairing()
    events = leg("k", "live")
    fill = next(e for e in events if isinstance(e, Fill))
    run(pairing, events)
    (problem,) = pairing.take(fill, 0)
    assert isinstance(problem, Problem)
    assert problem.reason == "DuplicateTrade"
    outcomes = run(pairing, leg("k", "paper"))
    assert next(o for o in outcomes if isinstance(o, Pair)).live.filled == 1.0


def test_live_without_end_is_unmatched_after_the_deadline() -> None:
    pairing = Pairing()
    run(pairing, leg("k", "paper") + leg("k", "live")[:2])
    assert pairing.expire(4 * SECOND) == []
    (problem,) = pairing.expire(5 * SECOND)
    assert problem.reason == "Unmatched"
    assert "live end" in problem.message


def test_paper_alone_is_no_fault() -> None:
    pairing = Pairing()
    assert run(pairing, leg("k", "paper")) == []
    assert pairing.expire(6 * SECOND) == []


def test_a_fill_after_the_end_is_late() -> None:
    pairing = Pairing()
    run(pairing, leg("k", "paper") + leg("k", "live"))
    (problem,) = pairing.take(Fill("k", "live", "another", 1.0, 1.0, 0), 0)
    assert isinstance(problem, Problem)
    assert problem.reason == "LateFill"


@pytest.mark.parametrize(
    ("event", "reason"),
    [
        (Fill("k", "live", "t", 0.0, 1.0, 0), "NotPositive"),
        (Fill("k", "live", "t", math.nan, 1.0, 0), "NotANumber"),
        (Order("k", "live", "B", "buy", -1.0, 1.0, 0), "NotPositive"),
        (Order("", "live", "B", "buy", 1.0, 1.0, 0), "BadKey"),
        (Ack("k", "live", -1, 0), "NegativeLatency"),
        (Done("k", "live", "expired", 0, math.inf), "NotANumber"),
    ],
)
def test_bad_numbers_are_named(event: Event, reason: str) -> None:
    (problem,) = Pairing().take(event, 0)
    assert isinstance(problem, Problem)
    assert problem.reason == reason


def test_overfill_and_mismatch_are_problems_not_pairs() -> None:
    over = run(Pairing(), leg("k", "paper") + leg("k", "live", parts=(0.6, 0.6)))
    assert [o.reason for o in over if isinstance(o, Problem)] == ["Overfilled"]
    live = [
        Order("k", "live", "ETH", "buy", 1.0, 1.0, 0) if isinstance(e, Order) else e
        for e in leg("k", "live")
    ]
    mixed = run(Pairing(), leg("k", "paper") + live)
    assert [o.reason for o in mixed if isinstance(o, Problem)] == ["MismatchedPair"]
