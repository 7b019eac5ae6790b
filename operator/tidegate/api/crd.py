"""CustomResourceDefinitions, generated from the models; `tidegate crds DIR` writes them."""

import sys
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel

from tidegate.api.driftgate import DriftGateSpec, DriftGateStatus
from tidegate.api.meta import GROUP, VERSION
from tidegate.api.strategy import StrategySpec, StrategyStatus
from tidegate.api.transition import GateTransitionSpec

# What OpenAPI v3 structural schemas know; pydantic's other keywords are dropped.
_KEEP = {
    "type", "format", "description", "enum", "pattern", "minimum", "maximum", "minLength",
    "maxLength", "minItems", "maxItems", "required", "default",
}  # fmt: skip


def structural(schema: dict[str, Any], defs: dict[str, Any]) -> dict[str, Any]:
    """A pydantic JSON schema as a structural schema: references inlined, null unions removed."""
    if "replace" in schema:
        return {**schema["replace"], **_described(schema)}
    if "$ref" in schema:
        target = defs[schema["$ref"].rsplit("/", 1)[1]]
        merged = {**target, **{k: v for k, v in schema.items() if k != "$ref"}}
        return structural(merged, defs)
    if "anyOf" in schema:
        (only,) = [s for s in schema["anyOf"] if s.get("type") != "null"]
        rest = {k: v for k, v in schema.items() if k not in ("anyOf", "default")}
        return structural({**only, **rest}, defs)
    out = {k: v for k, v in schema.items() if k in _KEEP or k.startswith("x-kubernetes-")}
    if "const" in schema:
        out["enum"] = [schema["const"]]
    if "properties" in schema:
        out["properties"] = {k: structural(v, defs) for k, v in schema["properties"].items()}
    if "items" in schema:
        out["items"] = structural(schema["items"], defs)
    if isinstance(schema.get("additionalProperties"), dict):
        out["additionalProperties"] = structural(schema["additionalProperties"], defs)
    if "default" in out:
        out["default"] = _without_null(out["default"])
        if out["default"] is None:
            del out["default"]
    return out


def _without_null(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_null(v) for k, v in value.items() if v is not None}
    return value


def _described(schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": schema["description"]} if "description" in schema else {}


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    raw = model.model_json_schema(by_alias=True, mode="validation")
    return structural(raw, raw.get("$defs", {}))


def _column(name: str, path: str, *, type: str = "string", priority: int = 0) -> dict[str, Any]:  # noqa: A002
    column: dict[str, Any] = {"name": name, "type": type, "jsonPath": path}
    return {**column, "priority": priority} if priority else column


_AGE = _column("Age", ".metadata.creationTimestamp", type="date")


def _crd(
    kind: str,
    plural: str,
    short: str,
    *,
    spec: dict[str, Any],
    status: dict[str, Any] | None,
    columns: list[dict[str, Any]],
    root_rules: list[dict[str, str]] | None = None,
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        # Bounded, so that the apiserver can bound what the rules about the name cost.
        "metadata": {
            "type": "object",
            "properties": {"name": {"type": "string", "maxLength": 253}},
        },
        "spec": spec,
    }
    if status is not None:
        properties["status"] = status
    schema: dict[str, Any] = {"type": "object", "required": ["spec"], "properties": properties}
    if root_rules:
        schema["x-kubernetes-validations"] = root_rules
    version: dict[str, Any] = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": schema},
        "additionalPrinterColumns": [*columns, _AGE],
    }
    if status is not None:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["tidegate"],
            },
            "versions": [version],
        },
    }


def _immutable(spec: dict[str, Any]) -> dict[str, Any]:
    rule = {"rule": "self == oldSelf", "message": "an audit record is never changed"}
    return {**spec, "x-kubernetes-validations": [rule]}


def crds() -> dict[str, dict[str, Any]]:
    """File name to manifest."""
    strategy = _crd(
        "Strategy", "strategies", "strat",
        spec=_schema(StrategySpec),
        status=_schema(StrategyStatus),
        columns=[
            _column("Mode", ".spec.mode"),
            _column("Phase", ".status.phase"),
            _column("Permit", ".status.permit.state"),
            _column("Alloc%", ".status.permit.allocationPercent", type="integer"),
            _column("Queue", ".status.queue.position", type="integer"),
            _column("Priority", ".spec.priority", type="integer", priority=1),
            _column("Waiting", ".status.queue.waitingFor[*].resource", priority=1),
            _column("Gates", ".status.permit.gates", priority=1),
        ],
        root_rules=[{
            "rule": "size(self.metadata.name) <= 63",
            "message": "metadata.name must be at most 63 characters: its pod and label bear it",
        }],
    )  # fmt: skip
    gate = _crd(
        "DriftGate", "driftgates", "gate",
        spec=_schema(DriftGateSpec),
        status=_schema(DriftGateStatus),
        columns=[
            _column("State", ".status.state"),
            _column("Alloc%", ".status.allocationPercent", type="integer"),
            _column("Drift", ".status.driftScore"),
            _column("Strategies", ".status.selected", type="integer"),
            _column("Reason", ".status.reason"),
            _column("Override", ".spec.override.state", priority=1),
            _column("Message", ".status.message", priority=1),
        ],
        root_rules=[{
            "rule": "size(self.metadata.name) <= 63",
            "message": "metadata.name must be at most 63 characters: its records bear it",
        }],
    )  # fmt: skip
    transition = _crd(
        "GateTransition", "gatetransitions", "gt",
        spec=_immutable(_schema(GateTransitionSpec)),
        status=None,
        columns=[
            _column("Gate", ".spec.gate"),
            _column("Seq", ".spec.sequence", type="integer"),
            _column("From", ".spec.from"),
            _column("To", ".spec.to"),
            _column("Alloc%", ".spec.allocationPercent", type="integer"),
            _column("Reason", ".spec.reason"),
            _column("Actor", ".spec.actor"),
            _column("Message", ".spec.message", priority=1),
        ],
        root_rules=[{
            # Without string(): its result has no bound, and the rule would cost too much.
            "rule": "self.metadata.name.startsWith(self.spec.gate + '-') && "
            "!self.metadata.name.startsWith(self.spec.gate + '-0') && "
            "int(self.metadata.name.substring(size(self.spec.gate) + 1)) == self.spec.sequence",
            "message": "metadata.name must be <spec.gate>-<spec.sequence>",
        }],
    )  # fmt: skip
    return {
        "strategies.yaml": strategy,
        "driftgates.yaml": gate,
        "gatetransitions.yaml": transition,
    }


class _Plain(yaml.SafeDumper):
    """Without anchors: the manifests are read by people."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


HEADER = "# Generated from operator/tidegate/api by `make crds`. Do not edit.\n"


def render(manifest: dict[str, Any]) -> str:
    return HEADER + yaml.dump(manifest, Dumper=_Plain, sort_keys=False, width=100)


def write(folder: Path) -> list[Path]:
    """Write every manifest into `folder`; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, manifest in crds().items():
        path = folder / name
        path.write_text(render(manifest))
        paths.append(path)
    return paths


def main(argv: list[str]) -> int:
    """`tidegate crds DIR`."""
    if len(argv) != 1:
        print("usage: tidegate crds DIR", file=sys.stderr)
        return 2
    for path in write(Path(argv[0])):
        print(path)
    return 0
