"""Images of the native cluster: the system's own, tidegate's, Prometheus's; and their import."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from . import atomic, layers, oci, tools
from .commands import run
from .config import COREDNS_IMAGE, IMAGE, PAUSE_IMAGE, TOOLS, Config
from .console import step
from .dockerfile import ImageSettings, parse
from .errors import ClusterError

NOBODY = "65534:65534"


@dataclass(frozen=True)
class Tidegate:
    """The operator's image as the work tree has it now."""

    tag: str
    layers: tuple[oci.Layer, ...]
    settings: ImageSettings

    @property
    def reference(self) -> str:
        return f"{IMAGE}:{self.tag}"


def tidegate(config: Config) -> Tidegate:
    """Builds what is not cached; about a second after an edit of the application alone."""
    path = config.repo / "Dockerfile"
    if not path.is_file():
        raise ClusterError(f"{path} is not there", expected="the image's settings in it")
    settings = parse(path.read_text())
    stack = (layers.base(config), layers.packages(config), layers.application(config))
    return Tidegate(oci.content_hash(settings, stack), stack, settings)


def load(config: Config) -> str:
    """Makes the tidegate image known to the node, as :dev and by its hash; returns the latter."""
    # Two loads at once would each leave :dev to whichever ends last and the marker to the other.
    with atomic.lock(config.lock("load")), step("tidegate image") as current:
        image = tidegate(config)
        current.at(image.reference)
        marker = config.run / "image"
        if not (marker.is_file() and marker.read_text() == image.reference):
            with tempfile.TemporaryDirectory(dir=config.state) as scratch:
                archive = Path(scratch) / "tidegate.tar"
                names = [f"{IMAGE}:dev", image.reference]
                oci.write(archive, names, list(image.layers), image.settings)
                load_archives(config, [archive])
            marker.write_text(image.reference)
    return image.reference


def load_archives(config: Config, archives: list[Path]) -> None:
    control = ["ctr", "-a", str(config.containerd_socket), "-n", "k8s.io"]
    inside = ["nsenter", "-t", str(_containerd(config)), "-n", "-m", "--"]
    for archive in archives:
        run([*inside, *control, "images", "import", str(archive)])


def _containerd(config: Config) -> int:
    from . import supervise

    process = supervise.running(config.run, "containerd")
    if process is None:
        raise ClusterError("containerd does not run", expected="a native cluster that is up")
    return process.pid


def system(config: Config) -> list[Path]:
    """Archives that a node needs before its first pod: pause and CoreDNS."""
    coredns = tools.ensure(config, "coredns")["coredns"]
    return [
        _pause(config),
        single(config, COREDNS_IMAGE, {"coredns": coredns}, "/coredns", user=NOBODY),
    ]


def _pause(config: Config) -> Path:
    source = TOOLS / "pause.c"
    key = hashlib.sha256(source.read_bytes()).hexdigest()[:12]
    home = config.cache / f"pause-{key}"
    if not home.is_dir():
        with step("build pause"), atomic.directory(home) as target:
            run(["cc", "-Os", "-static", "-s", "-o", str(target / "pause"), str(source)])
    return single(config, PAUSE_IMAGE, {"pause": home / "pause"}, "/pause", user=NOBODY)


def single(
    config: Config, name: str, files: dict[str, Path], entrypoint: str, *, user: str = ""
) -> Path:
    """An image of nothing but some files; cached by the place in the cache they come from."""
    settings = ImageSettings(user=user, entrypoint=(entrypoint,))
    parts = (part for to, path in files.items() for part in (to, str(path.resolve()), _stamp(path)))
    key = layers.digest([name, entrypoint, user, *parts])
    short = name.rpartition("/")[2].replace(":", "-")
    target = config.cache / "images" / f"{short}-{key}.tar"
    if target.is_file():
        return target
    with step(f"image {name}"), tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        for to, path in files.items():
            copy = root / to
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o755)
        (root / "tmp").mkdir(exist_ok=True)
        (root / "tmp").chmod(0o1777)
        packed = Path(scratch) / "layer.tar"
        oci.pack(root, packed)
        oci.write(target, [name], [oci.layer(packed)], settings)
    return target


def _stamp(path: Path) -> str:
    about = path.stat()
    return f"{about.st_size} {about.st_mtime_ns}"
