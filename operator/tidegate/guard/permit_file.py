"""Writing the permit: a seqlock in memory shared with the strategy (layout: api/permit.py)."""

import contextlib
import mmap
import os
import stat
from pathlib import Path

from tidegate.api import permit as record
from tidegate.api.permit import BODY_END, SIZE, Permit

MODE = 0o644


class PermitFile:
    """The permit at `path`, made if need be. One writer at a time: the guard.

    A file that an earlier guard left is written in place, so that a strategy which has it mapped
    sees this guard's word at once and not when the old permit runs out. Anything else at the path
    is replaced by a whole new file: nobody ever maps a file that is shorter than a record.

    Raises OSError when the directory can't be written.
    """

    def __init__(self, path: Path) -> None:
        descriptor = _reuse(path)
        if descriptor is None:
            descriptor = _create(path)
        try:
            self._map = mmap.mmap(descriptor, SIZE, mmap.MAP_SHARED)
        finally:
            os.close(descriptor)
        # Whatever is there, a half-written record included, is followed by an even version.
        self._version = (record.version(self._map[:8]) + 1) // 2 * 2 % (1 << 63)

    def write(self, permit: Permit) -> None:
        """Publish `permit`. A reader sees the old record, the new one, or that it must read again.

        Stores are in program order on x86; elsewhere the crc catches what a reordering would let
        through.
        """
        body = record.encode(permit)
        view = self._map
        view[:8] = record.pack_version(self._version + 1)
        view[8 : BODY_END + 4] = body
        self._version += 2
        view[:8] = record.pack_version(self._version)

    def close(self) -> None:
        self._map.close()


def _reuse(path: Path) -> int | None:
    """A descriptor of the file at `path` if it is one that we may go on with."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    found = os.fstat(descriptor)
    if stat.S_ISREG(found.st_mode) and found.st_size == SIZE and found.st_uid == os.geteuid():
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, MODE)
        return descriptor
    os.close(descriptor)
    return None


def _create(path: Path) -> int:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, MODE)
    try:
        os.fchmod(descriptor, MODE)  # whatever the umask
        os.write(descriptor, bytes(SIZE))
        temporary.replace(path)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor
