"""Venue, strategy and guard as real processes: health, drift, death of the guard."""

import json
import signal
import time

from fake_kube import gate as gate_object
from guard_desk import Desk


def start(desk: Desk) -> None:
    desk.venue("--seed", "7")
    desk.guard()
    desk.strategy()
    desk.until(lambda: desk.evidence()["permit"]["state"] == "Active", 10, "permit Active")
    desk.until(lambda: desk.evidence()["pairs"] > 10, 15, "pairs")


def test_ten_healthy_seconds_trip_nothing_then_slippage_halts(desk: Desk) -> None:
    start(desk)
    began, orders = time.monotonic(), desk.venue_orders()
    worst = 0.0
    while time.monotonic() - began < 10:
        (gate,) = desk.evidence()["gates"]
        assert not gate["tripped"], gate
        assert not gate["faults"], gate
        worst = max(worst, gate["score"])
        time.sleep(0.25)
    assert desk.venue_orders() - orders > 50
    assert worst < 0.7

    check_metrics(desk)

    before = desk.evidence()["pairs"]
    desk.control(slippageBps=100)
    desk.until(lambda: desk.evidence()["permit"]["state"] == "Halted", 5, "permit Halted")
    evidence = desk.evidence()
    (gate,) = evidence["gates"]
    assert gate["tripped"]
    assert evidence["permit"]["reason"] == "DriftDetected (g1)"
    first = desk.control()["firstFillAfterChangeAt"]
    print(
        f"\n1% slippage: {evidence['pairs'] - before} pairs and "
        f"{(gate['trippedAt'] - first) * 1000:.0f} ms from the first drifted fill to the trip"
    )
    assert gate["trippedAt"] - first < 5.0
    price = next(s for s in gate["signals"] if s["family"] == "price")
    assert price["score"] > 0.9
    # What was sent before the halt is still executed; then nothing is.
    time.sleep(0.3)
    stopped = desk.venue_orders()
    time.sleep(1.0)
    assert desk.venue_orders() == stopped


def test_the_gate_ramps_once_the_venue_is_well_again(desk: Desk) -> None:
    start(desk)
    desk.control(slippageBps=300)
    desk.until(lambda: desk.evidence()["gates"][0]["tripped"], 5, "trip")
    put(desk, state="Suspended", allocation=0, sequence=2)
    desk.until(lambda: desk.evidence()["gates"][0]["sequence"] == 2, 2, "sequence 2")
    (gate,) = desk.evidence()["gates"]
    assert not gate["tripped"]
    desk.control(slippageBps=0)
    desk.until(lambda: recovery(desk, "market") < 1e-3, 10, "proof of the market while halted")
    put(desk, state="Recovering", allocation=10, sequence=3)
    desk.until(lambda: desk.evidence()["permit"]["allocationPercent"] == 10, 2, "10 %")
    desk.until(lambda: recovery(desk, "price") < 1e-3, 10, "proof of the price at 10 %")


def recovery(desk: Desk, family: str) -> float:
    (gate,) = desk.evidence()["gates"]
    return min(s["recoveryP"] for s in gate["signals"] if s["family"] == family)


def put(desk: Desk, **status: object) -> None:

    (pipe,) = [c.stdin for c in desk.children if "guard_process.py" in str(c.args)]
    assert pipe is not None
    pipe.write(json.dumps(gate_object(**status)) + "\n")  # type: ignore[arg-type]
    pipe.flush()


def test_orders_stop_soon_after_the_guard_is_killed_and_resume_with_a_new_one(desk: Desk) -> None:
    start(desk)
    guard = next(c for c in desk.children if "guard_process.py" in str(c.args))
    guard.send_signal(signal.SIGKILL)
    guard.wait()
    killed = time.monotonic()
    count, last = desk.venue_orders(), killed
    while time.monotonic() - last < 1.0:
        time.sleep(0.02)
        now = desk.venue_orders()
        if now != count:
            count, last = now, time.monotonic()
        assert time.monotonic() - killed < 6
    print(f"\norders ended {last - killed:.2f} s after SIGKILL")
    assert last - killed < 3.0
    desk.guard()
    assert "GuardRestarted" in desk.until(lambda: faults(desk), 4, "the restart is told")
    desk.until(lambda: desk.venue_orders() > count + 5, 15, "orders under the new guard")


def faults(desk: Desk) -> list[str]:
    return [f["reason"] for g in desk.evidence()["gates"] for f in g["faults"]]


def check_metrics(desk: Desk) -> None:
    text = desk.get(desk.guard_port, "/metrics")
    own = 'namespace="ns",strategy="s1"'
    for family in ("price", "volume", "latency", "market"):
        assert f'drift_score{{family="{family}",gate="g1",{own}}}' in text
    for line in ("permit_allocation_percent", "permit_state", "guard_pairs_total"):
        assert f"{line}{{{own}}}" in text
    assert f'guard_reports_total{{{own},type="order"}}' in text
    assert f'optimizer_step_latency_ms_bucket{{le="+Inf",{own}}}' in text
    assert desk.get(desk.guard_port, "/healthz") == "ok\n"
    assert desk.get(desk.guard_port, "/readyz") == "ok\n"
