"""Images made without Docker: the same content is the same bytes, every blob has its own name."""

from __future__ import annotations

import hashlib
import json
import os
import tarfile
from pathlib import Path

import pytest

from cluster import atomic, oci
from cluster.dockerfile import ImageSettings


def tree(root: Path) -> Path:
    (root / "opt/app").mkdir(parents=True)
    (root / "opt/app/a.py").write_text("A = 1\n")
    (root / "opt/app/b").symlink_to("a.py")
    return root


def test_packing_ignores_owner_time_and_order_of_creation(tmp_path: Path) -> None:
    first, second = tree(tmp_path / "1"), tree(tmp_path / "2")
    os.utime(second / "opt/app/a.py", (1, 1))
    for root, name in ((first, "1.tar"), (second, "2.tar")):
        oci.pack(root, tmp_path / name)
    assert (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()
    with tarfile.open(tmp_path / "1.tar") as archive:
        assert archive.getnames() == ["opt", "opt/app", "opt/app/a.py", "opt/app/b"]
        assert {member.uid for member in archive} == {0}


@pytest.fixture
def layer(tmp_path: Path) -> oci.Layer:
    oci.pack(tree(tmp_path / "root"), tmp_path / "layer.tar")
    return oci.layer(tmp_path / "layer.tar")


SETTINGS = ImageSettings(user="1:1", entrypoint=("x",), env=("A=1",))


def test_every_blob_is_named_by_its_hash_and_the_chain_is_whole(
    tmp_path: Path, layer: oci.Layer
) -> None:
    oci.write(tmp_path / "i.tar", ["l/t:dev", "l/t:abc"], [layer], SETTINGS)
    with tarfile.open(tmp_path / "i.tar") as archive:
        blobs = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    for name, content in blobs.items():
        if name.startswith("blobs/sha256/"):
            assert hashlib.sha256(content).hexdigest() == name.rpartition("/")[2]
    index = json.loads(blobs["index.json"])
    names = [each["annotations"]["io.containerd.image.name"] for each in index["manifests"]]
    assert names == ["l/t:dev", "l/t:abc"]
    manifest = json.loads(blobs[blob(index["manifests"][0])])
    config = json.loads(blobs[blob(manifest["config"])])
    assert config["config"]["User"] == "1:1"
    assert config["config"]["Env"][-1] == "A=1"
    assert config["config"]["Env"][0].startswith("PATH=")
    assert config["rootfs"]["diff_ids"] == [manifest["layers"][0]["digest"]]
    assert len(blobs[blob(manifest["layers"][0])]) == manifest["layers"][0]["size"]


def blob(described: dict[str, str]) -> str:
    return "blobs/" + described["digest"].replace(":", "/")


def test_content_hash_follows_settings_and_layers(tmp_path: Path, layer: oci.Layer) -> None:
    value = oci.content_hash(SETTINGS, [layer])
    assert value == oci.content_hash(SETTINGS, [layer])
    assert value != oci.content_hash(ImageSettings(), [layer])
    assert value != oci.content_hash(SETTINGS, [layer, layer])
    assert len(value) == 12


def test_an_interrupted_build_leaves_nothing(tmp_path: Path) -> None:
    final = tmp_path / "cache" / "tool-v1"

    def interrupted() -> None:
        with atomic.directory(final) as target:
            (target / "half").write_text("x")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not final.exists()
    assert [path.name for path in final.parent.iterdir()] == [".tool-v1.lock"]
    with atomic.directory(final) as target:
        (target / "whole").write_text("x")
    assert [path.name for path in final.iterdir()] == ["whole"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path) -> None:
    final = tmp_path / "layer.tar"
    final.write_text("old")

    def full() -> None:
        with atomic.file(final) as scratch:
            scratch.write_text("ha")
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        full()
    assert final.read_text() == "old"
    assert list(tmp_path.iterdir()) == [final]
