"""Running other programs: one place that turns a failure into a ClusterError."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import ClusterError


def run(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdin: str | None = None,
    timeout: float = 600,
    do: str = "",
) -> str:
    """Stdout of a program that must succeed. `env` is added to this process's own."""
    words = [str(word) for word in argv]
    try:
        done = subprocess.run(
            words,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError as error:
        raise ClusterError(
            f"{words[0]}: no such program", expected="it on PATH", do=do or f"install {words[0]}"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise ClusterError(
            shlex.join(words),
            expected=f"to end within {timeout:.0f} s",
            found="still running",
            do=do,
        ) from error
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip())[-2000:]
        raise ClusterError(
            shlex.join(words)[:400],
            expected="exit status 0",
            found=f"exit status {done.returncode}: {said}",
            do=do,
        )
    return done.stdout


def answers(argv: Sequence[str | Path], timeout: float = 20) -> str | None:
    """Stdout and stderr of a program, or None where it is missing, fails or hangs."""
    try:
        done = subprocess.run(
            [str(word) for word in argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout + done.stderr if done.returncode == 0 else None
