"""Cache entries that are whole or absent: made beside their place, then renamed into it."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def lock(path: Path) -> Iterator[None]:
    """Holds an exclusive lock: a second `up` waits for the first's build, never repeats it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def directory(final: Path) -> Iterator[Path]:
    """A directory to fill, renamed to `final` only if the block ends well."""
    with lock(final.parent / f".{final.name}.lock"):
        final.parent.mkdir(parents=True, exist_ok=True)
        # What a killed process left half: it no longer holds the lock, so nobody writes there.
        for stale in final.parent.glob(f".{final.name}.*"):
            if stale.is_dir():
                shutil.rmtree(stale, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=f".{final.name}.", dir=final.parent))
        try:
            yield scratch
            scratch.chmod(0o755)
            if final.is_dir():  # another process was faster while we waited for the lock
                return
            scratch.rename(final)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def file(final: Path) -> Iterator[Path]:
    """A path to write, renamed to `final` only if the block ends well."""
    final.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{final.name}.", dir=final.parent)
    os.close(handle)
    scratch = Path(name)
    try:
        yield scratch
        scratch.rename(final)
    finally:
        scratch.unlink(missing_ok=True)
