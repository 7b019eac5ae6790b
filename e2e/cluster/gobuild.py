"""One `go build` into the cache, with its progress counted from Go's own -v output."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from .atomic import directory
from .commands import run
from .config import TOOLS, Config
from .console import Step, say, step
from .errors import BuildError
from .golang import toolchain

# The ambient GOFLAGS or go.work of whoever runs this must not change what is built.
_ENVIRONMENT = {
    "CGO_ENABLED": "0",
    "GOFLAGS": "-mod=readonly",
    "GOTOOLCHAIN": "local",
    "GOWORK": "off",
}
_LAST_LINES = 15


def build(
    config: Config,
    *,
    title: str,
    module: str,
    flags: Sequence[str],
    packages: Sequence[str],
    binaries: Sequence[str],
    home: Path,
) -> None:
    """Builds `packages` of tools/<module> into `home`, all binaries or none."""
    source = TOOLS / module
    go = toolchain(config, module)
    environment = {**_ENVIRONMENT, "PATH": f"{go.parent}:{os.environ.get('PATH', '')}"}
    with directory(home) as target:
        if all((home / binary).is_file() for binary in binaries):
            return  # built by another process while this one waited for the lock
        with step(title) as current:
            current.at("fetching modules")
            listed = run(
                [go, "list", "-deps", *_tags(flags), *packages],
                env=environment,
                cwd=source,
                timeout=1800,
                do="check that this machine's Go module proxy answers (go env GOPROXY)",
            )
            current.at("compiling")
            _compile(
                [str(go), "build", "-v", *flags, "-o", f"{target}/", *packages],
                environment,
                source,
                current,
                total=len(listed.split()),
            )
        for package, binary in zip(packages, binaries, strict=True):
            _name(target, package, binary, module)


def module_directory(config: Config, module: str, path: str) -> Path:
    """Where the source of a required module is, fetched and verified if need be."""
    go = toolchain(config, module)
    environment = {**_ENVIRONMENT, "PATH": f"{go.parent}:{os.environ.get('PATH', '')}"}
    source = TOOLS / module
    run([go, "mod", "download", path], env=environment, cwd=source)
    return Path(
        run([go, "list", "-m", "-f", "{{.Dir}}", path], env=environment, cwd=source).strip()
    )


def _tags(flags: Sequence[str]) -> list[str]:
    return ["-tags", flags[flags.index("-tags") + 1]] if "-tags" in flags else []


def _compile(
    argv: Sequence[str], environment: dict[str, str], cwd: Path, current: Step, total: int
) -> None:
    lines: list[str] = []
    compiled = 0
    with subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            lines.append(line.rstrip())
            if not line.startswith(("go: ", "#", "\t")):
                compiled += 1
            # Packages already in Go's own cache are not printed, so the count may stop short.
            current.at(f"{compiled} of at most {total} packages")
    if process.returncode:
        for line in lines[-_LAST_LINES:]:
            say(f"        {line}")
        raise BuildError(
            f"go build in {cwd} ended with status {process.returncode}",
            expected="status 0",
            found=lines[-1] if lines else "no output",
            do="read the lines above; a full disk and too little memory are the usual causes",
        )


def _name(target: Path, package: str, binary: str, module: str) -> None:
    """Go names a binary after its package's last path element that is not a version."""
    if (target / binary).is_file():
        return
    for guess in (package.rpartition("/")[2], package.split("/")[-2:][0], module):
        if guess and (target / guess).is_file():
            (target / guess).rename(target / binary)
            return
    made = ", ".join(sorted(path.name for path in target.iterdir()))
    raise BuildError(f"go build of {package} made no {binary}", expected=binary, found=made)
