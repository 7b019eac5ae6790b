"""The main job, end to end: admitted, trading, drift found, halted, recovered."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from desk import Desk, examples, wait_for

from .conftest import DECLARED_GATE, gate, verify_chain


def test_drift_suspends_then_ramps_to_open(desk: Desk) -> None:
    desk.venue(slippageBps=100)
    suspended = desk.wait_state("Suspended", timeout=60)
    assert suspended["allocationPercent"] == 0
    assert suspended["reason"] == "DriftDetected"
    desk.wait_no_orders()
    desk.venue(slippageBps=0)
    desk.wait_state("Open", timeout=120)
    steps = [
        (r["to"], r["allocationPercent"], r["reason"])
        for r in verify_chain(desk)
        if r["sequence"] >= suspended["sequence"]
    ]
    # A ramp that met drift goes back to 0; the last climb has every step in order.
    last = max(i for i, (state, _, _) in enumerate(steps) if state == "Suspended")
    assert [allocation for _, allocation, _ in steps[last:]] == [0, 10, 25, 50, 100]
    assert steps[-1][0] == "Open"


def test_learned_reference_opens_after_learning_at_the_first_step(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    desk.open(
        strategies=2, gate=gate(reference={"learned": {}}, detection={"referenceEvents": 100})
    )
    desk.wait_state("Open", timeout=180)
    chain = verify_chain(desk)
    assert [r["allocationPercent"] for r in chain] == [0, 10, 100]
    assert chain[-1]["reason"] == "Calibrated"


def test_sixth_strategy_waits_for_the_quota_by_name_and_runs_when_room_is_made(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    desk.open(strategies=5, quota=True)
    desk.wait_phase("Running", count=5, timeout=180)
    sixth = examples("more/sixth.yaml")
    desk.apply(*sixth)
    name = sixth[0]["metadata"]["name"]
    queue = wait_for("the sixth is queued", lambda: desk.status("strategy", name).get("queue"))
    assert queue["position"] == 1
    (quota,) = [q["metadata"]["name"] for q in desk.items("resourcequota")]
    assert {w["quota"] for w in queue["waitingFor"]} == {quota}
    assert any(w["resource"].endswith("cpu") and w["short"] for w in queue["waitingFor"])
    assert desk.status("strategy", name)["phase"] == "Queued"
    first = examples("30-strategies.yaml")[0]["metadata"]["name"]
    desk.kubectl("delete", "strategy", first, "-n", desk.namespace)
    wait_for(
        "the sixth runs",
        lambda: desk.status("strategy", name).get("phase") == "Running",
        timeout=90,
    )


def test_override_open_beats_drift_until_it_expires(desk: Desk) -> None:
    desk.venue(slippageBps=100)
    desk.wait_state("Suspended")
    until = datetime.now(UTC) + timedelta(seconds=12)
    desk.patch_gate(
        {
            "override": {
                "state": "Open",
                "reason": "known venue outage",
                "by": "alice",
                "expiresAt": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        }
    )
    status = desk.wait_state("Open", timeout=20)
    assert status["allocationPercent"] == 100
    before = desk.live_orders()
    wait_for("orders flow under the override", lambda: desk.live_orders() > before + 5)
    desk.wait_state("Suspended", timeout=40)
    chain = verify_chain(desk)
    overridden = next(r for r in chain if r["reason"] == "Override")
    assert (overridden["actor"], overridden["message"]) == ("alice", "known venue outage")
    assert chain[overridden["sequence"]]["reason"] == "OverrideExpired"


def test_override_suspended_halts_and_its_removal_recovers(desk: Desk) -> None:
    until = datetime.now(UTC) + timedelta(hours=1)
    desk.patch_gate(
        {
            "override": {
                "state": "Suspended",
                "reason": "exchange maintenance",
                "by": "bob",
                "expiresAt": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        }
    )
    desk.wait_state("Suspended", timeout=20)
    desk.wait_no_orders()
    desk.patch_gate({"override": None})
    desk.wait_state("Open", timeout=90)


def test_override_of_more_than_a_day_is_refused_and_says_so(desk: Desk) -> None:
    until = datetime.now(UTC) + timedelta(hours=30)
    desk.patch_gate(
        {
            "override": {
                "state": "Suspended",
                "reason": "too long",
                "by": "bob",
                "expiresAt": until.strftime("%Y-%m-%dT%H:%M:%SZ"),
            }
        }
    )

    def refused() -> dict[str, str] | None:
        return next(
            (
                c
                for c in desk.gate_status().get("conditions", ())
                if c["type"] == "OverrideAccepted" and c["status"] == "False"
            ),
            None,
        )

    condition = wait_for("the override is refused", refused, timeout=20)
    assert "24" in condition["message"]
    assert desk.gate_status()["state"] == "Open"


def test_emergency_stop_latches_until_its_transition_is_approved(desk: Desk) -> None:
    desk.patch_gate({"emergencyStop": {"reason": "fat finger", "by": "carol"}})
    stopped = desk.wait_state("Stopped", timeout=20)
    desk.wait_no_orders()
    desk.patch_gate({"emergencyStop": None})
    desk.wait_no_orders(quiet=5)
    assert desk.gate_status()["state"] == "Stopped"
    desk.patch_gate({"approval": {"sequence": stopped["sequence"], "by": "dave"}})
    desk.wait_state("Open", timeout=90)
    resumed = next(r for r in verify_chain(desk) if r["from"] == "Stopped")
    assert (resumed["actor"], resumed["to"]) == ("dave", "Suspended")


def test_recovery_beyond_the_day_s_budget_waits_for_approval(
    make_desk: Callable[..., Desk],
) -> None:
    desk = make_desk()
    recovery = {"clearFor": "1s", "dwell": "2s", "maxPerDay": 0}
    desk.open(strategies=1, gate=gate(recovery=recovery))
    desk.wait_state("Open", timeout=90)
    desk.venue(slippageBps=200)
    suspended = desk.wait_state("Suspended")
    desk.venue(slippageBps=0)
    wait_for("the gate is latched", lambda: desk.gate_status().get("latched"))
    desk.wait_no_orders(quiet=4)
    sequence = desk.gate_status()["sequence"]
    assert sequence == suspended["sequence"]
    desk.patch_gate({"approval": {"sequence": sequence, "by": "erin"}})
    desk.wait_state("Open", timeout=90)
    assert any(r["actor"] == "erin" and r["to"] == "Recovering" for r in verify_chain(desk))


def test_deleted_gate_leaves_its_strategies_halted(desk: Desk) -> None:
    desk.kubectl("delete", "driftgate", desk.gate, "-n", desk.namespace)
    desk.wait_no_orders()
    names = list(desk.phases())
    wait_for(
        "strategies say who halted them",
        lambda: all(desk.status("strategy", n).get("orphanedBy") for n in names),
    )
    assert desk.status("strategy", names[0])["permit"]["state"] == "Halted"
    assert verify_chain(desk)[-1]["to"] == "Deleted"
    # A gate of the same name takes over, and continues the chain.
    desk.apply(DECLARED_GATE)
    desk.wait_state("Open", timeout=90)
    before = desk.live_orders()
    wait_for("orders flow again", lambda: desk.live_orders() > before)


def test_deleted_gate_releases_its_strategies_when_annotated(desk: Desk) -> None:
    desk.kubectl(
        "annotate", "driftgate", desk.gate, "-n", desk.namespace, "tidegate.dev/on-delete=release"
    )
    desk.kubectl("delete", "driftgate", desk.gate, "-n", desk.namespace)
    wait_for(
        "strategies are released",
        lambda: all(
            (desk.status("strategy", n).get("permit") or {}).get("state") == "Active"
            and desk.status("strategy", n).get("orphanedBy")
            for n in desk.phases()
        ),
        timeout=30,
    )
    before = desk.live_orders()
    wait_for("orders flow", lambda: desk.live_orders() > before + 5)


def test_deleted_strategy_takes_its_pod_along(desk: Desk) -> None:
    name = next(iter(desk.phases()))
    desk.kubectl("delete", "strategy", name, "-n", desk.namespace)
    wait_for(
        "its pod is gone",
        lambda: name not in [p["metadata"]["name"] for p in desk.items("pod")],
        timeout=90,
    )
    assert desk.gate_status()["state"] == "Open"
