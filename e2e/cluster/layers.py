"""The tidegate image's three layers, slowest first: Debian with Python, packages, the application.

Each is a tar in the cache, named by a hash of what went into it, so that after a code edit only
the application's is made anew. All Python in them is compiled: pods run with a read-only root
filesystem, where an interpreter can keep nothing that it compiles. `unchecked-hash` because a
layer's files all have time 0.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from .commands import answers, run
from .config import Config
from .console import step
from .errors import BuildError
from .oci import Layer, layer, pack

SUITE = "bookworm"
PACKAGES = "python3.11-minimal,libpython3.11-stdlib,ca-certificates"
APP = "opt/app"  # the Dockerfile's target for packages and the application alike
KEPT = 20
RECIPE = "1"  # raise it when what is done below changes, so that cached layers are not used

# mmdebstrap's extract variant runs no maintainer script: what they would have made, we make.
_PASSWD = (
    "root:x:0:0:root:/root:/usr/sbin/nologin\n"
    "nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n"
    "nonroot:x:65532:65532:nonroot:/:/usr/sbin/nologin\n"
)
_GROUP = "root:x:0:\nnogroup:x:65534:\nnonroot:x:65532:\n"
_NSSWITCH = "passwd: files\ngroup: files\nhosts: files dns\n"
_TRIM = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/zoneinfo",
    "dev",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log",
)


def digest(parts: Iterable[bytes | str]) -> str:
    value = hashlib.sha256()
    for part in parts:
        raw = part.encode() if isinstance(part, str) else part
        value.update(len(raw).to_bytes(8, "big") + raw)
    return value.hexdigest()[:12]


def compiler() -> str:
    """A Python 3.11: byte code of another minor version would be ignored in the image."""
    if sys.version_info[:2] == (3, 11):
        return sys.executable
    for name in ((answers(["uv", "python", "find", "3.11"]) or "").strip(), "python3.11"):
        path = shutil.which(name) if name else None
        if path and "Python 3.11" in (answers([path, "--version"]) or ""):
            return path
    raise BuildError(
        "no Python 3.11 to compile the image's modules with",
        expected="python3.11 on PATH, or one that `uv python find 3.11` names",
        found=f"this is Python {sys.version.split()[0]}",
        do="install python3.11",
    )


def compile_all(root: Path, *places: str) -> None:
    """Byte code for every module of `places` below `root`, as if `root` were /."""
    strip = ["-s", str(root), "-p", "/"]
    mode = ["--invalidation-mode", "unchecked-hash", "-q", "-f", "-j", "2"]
    # Some packages ship templates that are not Python; compileall says so and goes on.
    quiet = ["-x", r"(test|tests|lib2to3)/"]
    argv = [compiler(), "-m", "compileall", *strip, *mode, *quiet]
    answers([*argv, *(str(root / place) for place in places)], timeout=600)


def base(config: Config) -> Layer:
    key = digest([SUITE, PACKAGES, RECIPE, _PASSWD, _GROUP, _NSSWITCH, *_TRIM])
    target = config.cache / "layers" / f"base-{key}.tar"
    if not target.is_file():
        with step(f"base layer: {SUITE} with Python 3.11"), tempfile.TemporaryDirectory() as name:
            root = Path(name) / "root"
            run(
                [
                    "mmdebstrap",
                    "--quiet",
                    "--variant=extract",
                    f"--include={PACKAGES}",
                    SUITE,
                    root,
                ],
                do="check that apt-get works on this machine: apt-get update",
            )
            _finish_base(root)
            compile_all(root, "usr/lib/python3.11")
            pack(root, target)
    return layer(target)


def _finish_base(root: Path) -> None:
    for place in _TRIM:
        shutil.rmtree(root / place, ignore_errors=True)
    (root / "dev").mkdir(exist_ok=True)
    etc = root / "etc"
    for name, text in (("passwd", _PASSWD), ("group", _GROUP), ("nsswitch.conf", _NSSWITCH)):
        (etc / name).write_text(text)
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = etc / "ssl/certs/ca-certificates.crt"
    bundle.parent.mkdir(parents=True, exist_ok=True)
    bundle.write_text("".join(each.read_text() for each in certificates))
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)


def packages(config: Config) -> Layer:
    """What uv.lock pins, hashes checked, for Python 3.11 on this platform."""
    lock = (config.repo / "uv.lock").read_bytes()
    project = (config.repo / "pyproject.toml").read_bytes()
    target = config.cache / "layers" / f"packages-{digest([lock, project, RECIPE])}.tar"
    if not target.is_file():
        with step("package layer from uv.lock"), tempfile.TemporaryDirectory() as name:
            pins = Path(name) / "requirements.txt"
            select = ["--frozen", "--no-dev", "--no-emit-project", "--no-header"]
            pins.write_text(run(["uv", "export", "--quiet", *select], cwd=config.repo))
            root = Path(name) / "root"
            (root / APP).mkdir(parents=True)
            platform = ["--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_36"]
            checked = ["--only-binary", ":all:", "--require-hashes", "--no-deps"]
            # Copies: the cache's own files must not get our modes and times through hard links.
            options = ["--quiet", "--link-mode", "copy", "--target", str(root / APP)]
            argv = ["uv", "pip", "install", *platform, *checked, *options, "-r", str(pins)]
            run(argv, cwd=Path(name), do="check that this machine's package index answers")
            shutil.rmtree(root / APP / "bin", ignore_errors=True)
            (root / APP / ".lock").unlink(missing_ok=True)
            compile_all(root, APP)
            pack(root, target)
    return layer(target)


def application(config: Config) -> Layer:
    """The package operator/tidegate as it is in the work tree now."""
    source = config.repo / "operator/tidegate"
    files = sorted(
        path
        for path in source.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".pyc"
    )
    if not files:
        raise BuildError(
            f"{source} holds no file", expected="the package tidegate", do="check TIDEGATE_REPO"
        )
    contents = [(str(path.relative_to(source)), path.read_bytes()) for path in files]
    key = digest([RECIPE, *(part for pair in contents for part in pair)])
    target = config.cache / "layers" / f"application-{key}.tar"
    if not target.is_file():
        with tempfile.TemporaryDirectory() as name:
            root = Path(name)
            for path, content in contents:
                copy = root / APP / "tidegate" / path
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)
            compile_all(root, APP)
            _open_modes(root)
            pack(root, target)
        _prune(target.parent)
    return layer(target)


def _prune(directory: Path) -> None:
    """Every edit makes an application layer: the oldest go."""
    made = sorted(directory.glob("application-*.tar"), key=lambda path: path.stat().st_mtime)
    for old in made[:-KEPT]:
        old.unlink(missing_ok=True)
        old.with_name(old.name + ".sha256").unlink(missing_ok=True)


def _open_modes(root: Path) -> None:
    """Readable by everyone: the image's user is not who built it."""
    for path in (root, *root.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() else 0o644)
