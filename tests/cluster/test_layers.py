"""The application layer: what goes in, that it is compiled, and that the cache is bounded."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from cluster import layers
from cluster.config import Config
from cluster.errors import BuildError


@pytest.fixture
def config(tmp_path: Path) -> Config:
    package = tmp_path / "repo/operator/tidegate"
    (package / "core").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "core/gate.py").write_text("def decide() -> int:\n    return 1\n")
    (package / "__pycache__").mkdir()
    (package / "__pycache__/stale.cpython-311.pyc").write_bytes(b"x")
    return Config(state=tmp_path / "state", cache=tmp_path / "cache", repo=tmp_path / "repo")


def test_modules_and_their_byte_code_and_nothing_else(config: Config) -> None:
    with tarfile.open(layers.application(config).path) as archive:
        files = {member.name: member for member in archive if member.isfile()}
        code = archive.extractfile("opt/app/tidegate/core/__pycache__/gate.cpython-311.pyc")
        assert code is not None
        header = code.read(8)
    assert set(files) == {
        "opt/app/tidegate/__init__.py",
        "opt/app/tidegate/core/gate.py",
        "opt/app/tidegate/__pycache__/__init__.cpython-311.pyc",
        "opt/app/tidegate/core/__pycache__/gate.cpython-311.pyc",
    }
    assert {member.mode for member in files.values()} == {0o644}
    # PEP 552: bit 0 says hash-based, bit 1 clear says unchecked, so time 0 does not matter.
    assert int.from_bytes(header[4:8], "little") == 0b01


def test_the_same_source_is_the_same_layer_and_an_edit_another(config: Config) -> None:
    first = layers.application(config)
    assert layers.application(config) == first
    (config.repo / "operator/tidegate/core/gate.py").write_text("x = 1\n")
    assert layers.application(config).digest != first.digest


def test_byte_code_left_by_a_local_run_changes_nothing(config: Config) -> None:
    first = layers.application(config)
    (config.repo / "operator/tidegate/__pycache__/new.cpython-311.pyc").write_bytes(b"y")
    assert layers.application(config) == first


def test_old_layers_are_dropped(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layers, "KEPT", 2)
    for number in range(4):
        (config.repo / "operator/tidegate/core/gate.py").write_text(f"x = {number}\n")
        layers.application(config)
    assert len(list((config.cache / "layers").glob("application-*.tar"))) == 2


def test_an_empty_package_is_refused_by_name(tmp_path: Path) -> None:
    config = Config(state=tmp_path, cache=tmp_path, repo=tmp_path / "elsewhere")
    with pytest.raises(BuildError, match="elsewhere"):
        layers.application(config)
