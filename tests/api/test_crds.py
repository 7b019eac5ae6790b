"""The manifests in the tree are those of the models, wherever they are copied to."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tidegate.api.crd import crds, main, render
from tidegate.api.driftgate import DriftGateSpec
from tidegate.api.strategy import StrategySpec

ROOT = Path(__file__).resolve().parents[2]
COPIES = ("crds", "charts/tidegate/files/crds")


@pytest.mark.parametrize("folder", COPIES)
def test_manifests_are_generated_from_the_models(folder: str) -> None:
    wanted = {name: render(manifest) for name, manifest in crds().items()}
    found = {path.name: path.read_text() for path in (ROOT / folder).iterdir()}
    assert found == wanted, f"{folder}/ is not what the models say: run `make crds`"


def test_command_writes_them_and_names_their_paths(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out.split()
    assert printed == [str(tmp_path / "new" / name) for name in crds()]
    assert {p.name: p.read_text() for p in (tmp_path / "new").iterdir()} == {
        name: render(manifest) for name, manifest in crds().items()
    }
    assert main([]) == 2


def nodes(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, with its path."""
    found = [(path, schema)]
    for name, inner in schema.get("properties", {}).items():
        found += nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            found += nodes(schema[key], f"{path}[{key}]")
    return found


SPECS = [
    (f"{manifest['spec']['names']['kind']}{path}", node)
    for manifest in crds().values()
    for path, node in nodes(
        manifest["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], ".spec"
    )
]


@pytest.mark.parametrize(("path", "node"), SPECS, ids=[path for path, _ in SPECS])
def test_schema_is_structural_and_without_floats(path: str, node: dict[str, Any]) -> None:
    assert node.get("type") in ("object", "array", "string", "integer", "boolean"), path
    assert not {"$ref", "anyOf", "allOf", "oneOf", "title"} & node.keys()
    if node["type"] == "array":
        assert "items" in node


def test_defaults_of_the_schema_are_those_of_the_models() -> None:
    """What the apiserver fills in, the models fill in as well: an old object reads the same."""
    gate = crds()["driftgates.yaml"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    properties = gate["properties"]["spec"]["properties"]
    wanted = DriftGateSpec().dump()
    assert {k: v["default"] for k, v in properties.items() if "default" in v} == wanted
    template = {"spec": {"containers": [{"name": "a"}]}}
    strategy = crds()["strategies.yaml"]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    properties = strategy["properties"]["spec"]["properties"]
    wanted = StrategySpec(template=template).dump()
    assert {
        "template": template,
        **{k: v["default"] for k, v in properties.items() if "default" in v},
    } == json.loads(json.dumps(wanted))


def test_manifests_have_no_yaml_anchors() -> None:
    for manifest in crds().values():
        text = render(manifest)
        assert yaml.safe_load(text) == manifest
        assert "&id" not in text
