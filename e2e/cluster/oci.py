"""Container images without a registry or a Docker daemon: deterministic layers, an OCI archive."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import atomic
from .dockerfile import ImageSettings

_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_TIME = "2026-01-01T00:00:00Z"
_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_CONFIG = "application/vnd.oci.image.config.v1+json"
_LAYER = "application/vnd.oci.image.layer.v1.tar"


@dataclass(frozen=True)
class Layer:
    path: Path
    digest: str  # sha256, hexadecimal

    @property
    def size(self) -> int:
        return self.path.stat().st_size


def layer(path: Path) -> Layer:
    """A tar file as a layer; its digest is kept beside it, for it is asked for often."""
    note = path.with_name(path.name + ".sha256")
    if note.is_file():
        return Layer(path, note.read_text())
    with path.open("rb") as handle:
        digest = hashlib.file_digest(handle, "sha256").hexdigest()
    note.write_text(digest)
    return Layer(path, digest)


def pack(root: Path, target: Path) -> None:
    """A tar of everything below `root`, the same bytes for the same content: owner 0, time 0."""

    def normal(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        info.mtime = 0
        return info

    with atomic.file(target) as scratch, tarfile.open(scratch, "w") as archive:
        for path in sorted(root.rglob("*")):
            name = str(path.relative_to(root))
            archive.add(path, name, recursive=False, filter=normal)


def image_config(settings: ImageSettings, layers: Iterable[Layer]) -> bytes:
    """The image's configuration blob."""
    has_path = any(each.startswith("PATH=") for each in settings.env)
    config: dict[str, Any] = {
        "Entrypoint": list(settings.entrypoint),
        "Cmd": list(settings.cmd),
        "Env": [*([] if has_path else [_PATH]), *settings.env],
        "User": settings.user,
        "WorkingDir": settings.workdir,
        "ExposedPorts": {port: {} for port in settings.ports},
    }
    stack = list(layers)
    return json.dumps(
        {
            "architecture": "amd64",
            "os": "linux",
            "created": _TIME,
            "config": {key: value for key, value in config.items() if value},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{each.digest}" for each in stack]},
            "history": [{"created": _TIME, "created_by": "tidegate e2e"} for _ in stack],
        },
        sort_keys=True,
    ).encode()


def content_hash(settings: ImageSettings, layers: Iterable[Layer]) -> str:
    """Twelve hexadecimal digits that change exactly when the image does."""
    return hashlib.sha256(image_config(settings, layers)).hexdigest()[:12]


def write(target: Path, names: Iterable[str], layers: list[Layer], settings: ImageSettings) -> None:
    """An OCI image layout as one tar file that `ctr images import` reads."""
    config = image_config(settings, layers)
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": _MANIFEST,
            "config": _describe(_CONFIG, hashlib.sha256(config).hexdigest(), len(config)),
            "layers": [_describe(_LAYER, each.digest, each.size) for each in layers],
        }
    ).encode()
    described = _describe(_MANIFEST, hashlib.sha256(manifest).hexdigest(), len(manifest))
    platform = {"architecture": "amd64", "os": "linux"}
    index = json.dumps(
        {
            "schemaVersion": 2,
            "manifests": [
                {
                    **described,
                    "platform": platform,
                    "annotations": {
                        "io.containerd.image.name": name,
                        "org.opencontainers.image.ref.name": name.rpartition(":")[2],
                    },
                }
                for name in names
            ],
        }
    ).encode()
    with atomic.file(target) as scratch, tarfile.open(scratch, "w") as archive:
        _put(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
        _put(archive, "index.json", index)
        for blob in (config, manifest):
            _put(archive, f"blobs/sha256/{hashlib.sha256(blob).hexdigest()}", blob)
        for each in layers:
            info = tarfile.TarInfo(f"blobs/sha256/{each.digest}")
            info.size, info.mode = each.size, 0o644
            with each.path.open("rb") as handle:
                archive.addfile(info, handle)


def _describe(kind: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": kind, "digest": f"sha256:{digest}", "size": size}


def _put(archive: tarfile.TarFile, name: str, blob: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(blob), 0o644
    archive.addfile(info, io.BytesIO(blob))
