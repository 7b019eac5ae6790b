"""One accepted and one rejected manifest for every rule of the API."""

from dataclasses import dataclass

from api_manifests import Object


@dataclass(frozen=True)
class Rule:
    """`good` and `bad` are merge patches on the kind's base; `says` is in the refusal."""

    name: str
    kind: str
    good: Object
    bad: Object
    says: str


def _spec(kind: str, name: str, good: Object, bad: Object, says: str) -> Rule:
    return Rule(name, kind, {"spec": good}, {"spec": bad}, says)


def _gate(name: str, good: Object, bad: Object, says: str) -> Rule:
    return _spec("DriftGate", name, good, bad, says)


def _strategy(name: str, good: Object, bad: Object, says: str) -> Rule:
    return _spec("Strategy", name, good, bad, says)


def _record(name: str, good: Object, bad: Object, says: str) -> Rule:
    return _spec("GateTransition", name, good, bad, says)


def _signal(family: str = "price", tolerance: int = 5, limit: int = 100) -> Object:
    return {"family": family, "toleranceBps": tolerance, "limitBps": limit}


def _override(**change: object) -> Object:
    full = {
        "state": "Open",
        "reason": "known venue outage",
        "by": "alice",
        "expiresAt": "2026-01-02T03:04:05Z",
        **change,
    }
    return {"override": {k: v for k, v in full.items() if v is not None}}


def _declared(**families: Object) -> Object:
    return {"reference": {"declared": families}}


_PRICE = {"signals": [_signal()]}
_STOP = {"reason": "fat finger", "by": "carol"}
_CONTAINER = {"name": "strategy", "image": "none"}


def _durations() -> list[Rule]:
    def at(path: str, value: str) -> Object:
        outer, _, inner = path.rpartition(".")
        return {outer: {inner: value}} if outer else {inner: value}

    bounds = [
        ("DriftGate", "staleAfter", "500ms", "1h", "499ms", "61m"),
        ("DriftGate", "permitTTL", "3s", "1h", "2999ms", "61m"),
        ("DriftGate", "recovery.clearFor", "100ms", "24h", "99ms", "25h"),
        ("DriftGate", "recovery.dwell", "100ms", "24h", "99ms", "25h"),
        ("Strategy", "limits.progressDeadline", "1s", "24h", "999ms", "25h"),
    ]
    made = []
    for kind, path, least, most, below, above in bounds:
        says = f"must be a duration from {least} to {most}"
        long = "0" * 16 + "1h"
        made += [
            _spec(kind, f"{path}-at-least", at(path, least), at(path, below), says),
            _spec(kind, f"{path}-at-most", at(path, most), at(path, above), says),
            _spec(kind, f"{path}-needs-a-unit", at(path, "1m30s"), at(path, "90"), "should match"),
            _spec(kind, f"{path}-is-short", at(path, "0001h"), at(path, long), "than 16"),
        ]
    return made


GATE_RULES = [
    _gate("signals-limit-above-tolerance", {"signals": [_signal(limit=6)]},
          {"signals": [_signal(limit=5)]}, "limitBps must be greater than toleranceBps"),
    _gate("signals-tolerance-at-least", {"signals": [_signal(tolerance=0)]},
          {"signals": [_signal(tolerance=-1)]}, "greater than or equal to 0"),
    _gate("signals-limit-at-most", {"signals": [_signal(limit=100_000)]},
          {"signals": [_signal(limit=100_001)]}, "less than or equal to 100000"),
    _gate("signals-integers", {"signals": [_signal(limit=6)]},
          {"signals": [{**_signal(), "limitBps": 5.5}]}, "must be of type integer"),
    _gate("signals-known-family", {"signals": [_signal("market")]},
          {"signals": [_signal("mood")]}, 'supported values: "price"'),
    _gate("signals-family-once", {"signals": [_signal("price"), _signal("volume")]},
          {"signals": [_signal("price"), _signal("price")]}, "Duplicate value"),
    _gate("signals-at-least-one", _PRICE, {"signals": []}, "should have at least 1 items"),
    _gate("signals-complete", _PRICE, {"signals": [{"family": "price", "limitBps": 9}]},
          "spec.signals[0].toleranceBps: Required value"),
    _gate("selector-operator", {"strategies": {"matchExpressions": [
              {"key": "desk", "operator": "In", "values": ["a"]}]}},
          {"strategies": {"matchExpressions": [{"key": "desk", "operator": "Like"}]}},
          'supported values: "In"'),
    _gate("selector-in-needs-values", {"strategies": {"matchExpressions": [
              {"key": "desk", "operator": "NotIn", "values": ["a"]}]}},
          {"strategies": {"matchExpressions": [{"key": "desk", "operator": "NotIn"}]}},
          "In and NotIn need values, Exists and DoesNotExist take none"),
    _gate("selector-exists-takes-none", {"strategies": {"matchExpressions": [
              {"key": "desk", "operator": "Exists"}]}},
          {"strategies": {"matchExpressions": [
              {"key": "desk", "operator": "Exists", "values": ["a"]}]}},
          "In and NotIn need values, Exists and DoesNotExist take none"),
    _gate("false-alarms-above-zero", {"detection": {"falseAlarmsPerMillion": "0.000000001"}},
          {"detection": {"falseAlarmsPerMillion": "0.0"}}, "greater than 0 and at most 10000"),
    _gate("false-alarms-at-most", {"detection": {"falseAlarmsPerMillion": "10000"}},
          {"detection": {"falseAlarmsPerMillion": "10000.1"}}, "greater than 0 and at most 10000"),
    _gate("false-alarms-decimal", {"detection": {"falseAlarmsPerMillion": "0.5"}},
          {"detection": {"falseAlarmsPerMillion": "1e-6"}}, "should match"),
    _gate("false-alarms-text", {"detection": {"falseAlarmsPerMillion": "1"}},
          {"detection": {"falseAlarmsPerMillion": 1}}, "must be of type string"),
    _gate("reference-events-at-least", {"detection": {"referenceEvents": 100}},
          {"detection": {"referenceEvents": 99}}, "greater than or equal to 100"),
    _gate("reference-events-at-most", {"detection": {"referenceEvents": 1_000_000}},
          {"detection": {"referenceEvents": 1_000_001}}, "less than or equal to 1000000"),
    _gate("detection-mode", {"detection": {"mode": "Observe"}}, {"detection": {"mode": "Off"}},
          'supported values: "Enforce", "Observe"'),
    _gate("reference-one", {"reference": {"learned": {}}}, {"reference": {}},
          "exactly one of declared and learned must be set"),
    _gate("reference-not-both", {**_PRICE, **_declared(price={"scaleBps": "8"})},
          {**_PRICE, "reference": {"learned": {}, "declared": {"price": {"scaleBps": "8"}}}},
          "exactly one of declared and learned must be set"),
    *(_gate(f"declared-{family}",
            {"signals": [_signal(family)], **_declared(**{family: {"scaleBps": "8"}})},
            {"signals": [_signal(family)], **_declared(
                **{"price" if family != "price" else "market": {"scaleBps": "8"}})},
            "reference.declared needs an entry for the family of every signal")
      for family in ("price", "volume", "latency", "market")),
    *(_gate(f"declared-{family}-scale-above-zero",
            {"signals": [_signal(family)], **_declared(**{family: {"scaleBps": "0.1"}})},
            {"signals": [_signal(family)], **_declared(**{family: {"scaleBps": "0.0"}})},
            f"spec.reference.declared.{family}.scaleBps: Invalid value")
      for family in ("price", "volume", "latency", "market")),
    _gate("declared-center", {**_PRICE, **_declared(price={"scaleBps": "8", "centerBps": "-1.5"})},
          {**_PRICE, **_declared(price={"scaleBps": "8", "centerBps": "+1"})}, "should match"),
    _gate("declared-tick", {**_PRICE, **_declared(price={"scaleBps": "8", "tickBps": "0.5"})},
          {**_PRICE, **_declared(price={"scaleBps": "8", "tickBps": "-0.5"})}, "should match"),
    _gate("declared-needs-a-scale", {**_PRICE, **_declared(price={"scaleBps": "8"})},
          {**_PRICE, **_declared(price={})}, "scaleBps: Required value"),
    *(_gate(f"on-fault-{fault}", {"onFault": {fault: "Open"}}, {"onFault": {fault: "Ignore"}},
            'supported values: "Suspend", "Hold", "Open"')
      for fault in ("noData", "stale", "invalid")),
    _gate("on-control-plane-lost", {"onFault": {"controlPlaneLost": "Hold"}},
          {"onFault": {"controlPlaneLost": "Open"}}, 'supported values: "Halt", "Hold"'),
    _gate("recovery-mode", {"recovery": {"mode": "RequireApproval"}}, {"recovery": {"mode": "No"}},
          'supported values: "Auto", "RequireApproval"'),
    _gate("steps-end-at-100", {"recovery": {"steps": [1, 100]}}, {"recovery": {"steps": [10, 50]}},
          "the last step must be 100"),
    _gate("steps-ascend", {"recovery": {"steps": [5, 6, 100]}},
          {"recovery": {"steps": [50, 25, 100]}}, "steps must ascend without repeats"),
    _gate("steps-without-repeats", {"recovery": {"steps": [100]}},
          {"recovery": {"steps": [50, 50, 100]}}, "steps must ascend without repeats"),
    _gate("steps-at-least-one", {"recovery": {"steps": [100]}}, {"recovery": {"steps": []}},
          "should have at least 1 items"),
    _gate("steps-at-most", {"recovery": {"steps": [*range(1, 16), 100]}},
          {"recovery": {"steps": [*range(1, 17), 100]}}, "must have at most 16 items"),
    _gate("steps-percent", {"recovery": {"steps": [1, 100]}}, {"recovery": {"steps": [0, 100]}},
          "greater than or equal to 1"),
    _gate("recoveries-a-day-at-least", {"recovery": {"maxPerDay": 0}},
          {"recovery": {"maxPerDay": -1}}, "greater than or equal to 0"),
    _gate("recoveries-a-day-at-most", {"recovery": {"maxPerDay": 1000}},
          {"recovery": {"maxPerDay": 1001}}, "less than or equal to 1000"),
    _gate("approval-sequence", {"approval": {"sequence": 1, "by": "dave"}},
          {"approval": {"sequence": 0, "by": "dave"}}, "greater than or equal to 1"),
    _gate("approval-names-a-sequence", {"approval": {"sequence": 1, "by": "dave"}},
          {"approval": {"by": "dave"}}, "spec.approval.sequence: Required value"),
    _gate("approval-names-a-person", {"approval": {"sequence": 1, "by": "dave"}},
          {"approval": {"sequence": 1}}, "spec.approval.by: Required value"),
    *(_gate(f"override-needs-{field}", _override(), _override(**{field: None}),
            f"spec.override.{field}: Required value")
      for field in ("state", "reason", "by", "expiresAt")),
    _gate("override-state", _override(state="Suspended"), _override(state="Stopped"),
          'supported values: "Open", "Suspended"'),
    _gate("override-reason-not-empty", _override(reason="x"), _override(reason=""),
          "should be at least 1 chars long"),
    _gate("override-by-not-empty", _override(by="x"), _override(by=""),
          "should be at least 1 chars long"),
    _gate("override-expires-at-a-time", _override(expiresAt="2026-01-02T03:04:05.6+02:00"),
          _override(expiresAt="tomorrow"), "date-time"),
    *(_gate(f"emergency-stop-needs-{field}", {"emergencyStop": _STOP},
            {"emergencyStop": {k: v for k, v in _STOP.items() if k != field}},
            f"spec.emergencyStop.{field}: Required value")
      for field in ("reason", "by")),
    _gate("unknown-field", {}, {"recovry": {}}, 'unknown field "spec.recovry"'),
    _gate("unknown-inner-field", {}, {"recovery": {"steps": [100], "pace": "1s"}},
          'unknown field "spec.recovery.pace"'),
    Rule("gate-name", "DriftGate", {"metadata": {"name": "g" * 63}},
         {"metadata": {"name": "g" * 64}}, "must be at most 63 characters: its records bear it"),
    Rule("gate-has-a-spec", "DriftGate", {"spec": {}}, {"spec": None}, "spec: Required value"),
]  # fmt: skip

STRATEGY_RULES = [
    _strategy("mode", {"mode": "Live"}, {"mode": "Dry"}, 'supported values: "Paper", "Live"'),
    _strategy("priority-at-least", {"priority": -1_000_000}, {"priority": -1_000_001},
              "greater than or equal to -1000000"),
    _strategy("priority-at-most", {"priority": 1_000_000}, {"priority": 1_000_001},
              "less than or equal to 1000000"),
    _strategy("suspend", {"suspend": True}, {"suspend": "yes"}, "must be of type boolean"),
    _strategy("template", {}, {"template": None}, "spec.template: Required value"),
    _strategy("template-spec", {}, {"template": {"spec": None}},
              "spec.template.spec: Required value"),
    _strategy("containers", {"template": {"spec": {"containers": [_CONTAINER]}}},
              {"template": {"spec": {"containers": None}}},
              "spec.template.spec.containers: Required value"),
    _strategy("containers-not-empty",
              {"template": {"spec": {"containers": [_CONTAINER, {"name": "b", "image": "none"}]}}},
              {"template": {"spec": {"containers": []}}}, "should have at least 1 items"),
    _strategy("container-named", {"template": {"spec": {"containers": [_CONTAINER]}}},
              {"template": {"spec": {"containers": [{"image": "none"}]}}}, "name: Required value"),
    _strategy("unknown-field", {"template": {"spec": {"tolerations": []}}}, {"templat": {}},
              'unknown field "spec.templat"'),
    Rule("strategy-name", "Strategy", {"metadata": {"name": "s" * 63}},
         {"metadata": {"name": "s" * 64}}, "must be at most 63 characters: its pod and label"),
]  # fmt: skip

RECORD_RULES = [
    Rule("record-name", "GateTransition", {}, {"metadata": {"name": "eth-gate-8"}},
         "metadata.name must be <spec.gate>-<spec.sequence>"),
    Rule("record-name-without-zeros", "GateTransition", {}, {"metadata": {"name": "eth-gate-07"}},
         "metadata.name must be <spec.gate>-<spec.sequence>"),
    Rule("record-name-of-its-gate", "GateTransition", {}, {"spec": {"gate": "btc-gate"}},
         "metadata.name must be <spec.gate>-<spec.sequence>"),
    Rule("record-sequence", "GateTransition",
         {"metadata": {"name": "eth-gate-1"}, "spec": {"sequence": 1}},
         {"metadata": {"name": "eth-gate-0"}, "spec": {"sequence": 0}},
         "greater than or equal to 1"),
    _record("record-from", {"from": "None"}, {"from": "Broken"}, 'supported values: "None"'),
    _record("record-to", {"to": "Deleted"}, {"to": "Broken"}, 'supported values: "None"'),
    _record("record-allocation", {"allocationPercent": 100}, {"allocationPercent": 101},
            "less than or equal to 100"),
    _record("record-from-allocation", {"fromAllocationPercent": 0}, {"fromAllocationPercent": -1},
            "greater than or equal to 0"),
    _record("record-hash", {"hash": "f" * 64}, {"hash": "f" * 63}, "at least 64 chars long"),
    _record("record-hash-there", {"previousHash": "f" * 64}, {"hash": None},
            "spec.hash: Required value"),
    _record("record-times", {}, {"times": {"observed": None}},
            "spec.times.observed: Required value"),
    _record("record-time", {"times": {"written": "2026-01-02T03:04:05Z"}},
            {"times": {"written": "now"}}, "date-time"),
    _record("record-actor", {"actor": "alice"}, {"actor": None}, "spec.actor: Required value"),
    _record("unknown-field", {}, {"note": "x"}, 'unknown field "spec.note"'),
]  # fmt: skip

RULES = [*GATE_RULES, *STRATEGY_RULES, *RECORD_RULES, *_durations()]
