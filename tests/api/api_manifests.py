"""The smallest valid object of each kind, and merge patches upon them."""

import copy
from typing import Any

API = "tidegate.dev/v1alpha1"
Object = dict[str, Any]

STRATEGY: Object = {
    "apiVersion": API,
    "kind": "Strategy",
    "metadata": {"name": "mean-reversion"},
    "spec": {
        "suspend": True,  # an operator that runs beside the tests has nothing to do
        "template": {"spec": {"containers": [{"name": "strategy", "image": "none"}]}},
    },
}
GATE: Object = {
    "apiVersion": API,
    "kind": "DriftGate",
    "metadata": {"name": "btc-gate"},
    "spec": {"strategies": {"matchLabels": {"desk": "nobody"}}},
}
TRANSITION: Object = {
    "apiVersion": API,
    "kind": "GateTransition",
    "metadata": {"name": "eth-gate-7"},
    "spec": {
        "gate": "eth-gate",
        "sequence": 7,
        "from": "Open",
        "to": "Suspended",
        "fromAllocationPercent": 100,
        "allocationPercent": 0,
        "reason": "DriftDetected",
        "actor": "operator",
        "times": {
            "observed": "2026-01-02T03:04:05.000001Z",
            "decided": "2026-01-02T03:04:05.000002Z",
            "written": "2026-01-02T03:04:05.000003Z",
        },
        "hash": "0" * 64,
    },
}
BASE = {manifest["kind"]: manifest for manifest in (STRATEGY, GATE, TRANSITION)}


def patched(base: Object, patch: Object) -> Object:
    """`base` after an RFC 7396 merge patch: None removes, lists replace."""
    merged = copy.deepcopy(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, dict) and isinstance(merged.get(key), dict):
            merged[key] = patched(merged[key], value)
        else:
            merged[key] = copy.deepcopy(value)
    return merged
