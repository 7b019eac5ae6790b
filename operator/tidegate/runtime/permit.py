"""Reading the permit: about a microsecond, before every order. Anything doubtful is Halted."""

import mmap
import os
import time
from collections.abc import Callable
from pathlib import Path

from tidegate.api import permit as record
from tidegate.api.permit import HALTED, SIZE, Permit, State

REOPEN_EVERY = 50_000_000
"""ns between two looks at the path while there is no valid permit."""

ATTEMPTS = 4
"""Tries before a record that is being written counts as torn; a write takes about 2 us."""


class PermitReader:
    """The permit file at `path`, mapped; opened again when it appears or is replaced.

    `clock` is CLOCK_MONOTONIC in ns: the guard's deadlines are on the same clock.
    """

    def __init__(self, path: Path, clock: Callable[[], int] = time.monotonic_ns) -> None:
        self._path = path
        self._clock = clock
        self._map: mmap.mmap | None = None
        self._inode = 0
        self._looked = -REOPEN_EVERY
        self._bytes = b""
        self._permit = HALTED

    def read(self) -> Permit:
        """The permit in force now. Never raises."""
        now = self._clock()
        view = self._map
        if view is None:
            return self._reopen(now)
        for _ in range(ATTEMPTS):
            before = view[:8]
            copy = view[:]
            # Unchanged bytes were checked when they were first seen; only time has moved on.
            if copy == self._bytes and now < self._permit.deadline:
                return self._permit
            if before == copy[:8] == view[:8]:
                permit = record.decode(copy, now)
                if permit.state is not State.HALTED:
                    self._bytes, self._permit = copy, permit
                    return permit
                if permit.deadline:
                    return permit  # halted by a living guard
        return self._reopen(now)

    def _reopen(self, now: int) -> Permit:
        """The mapped file says nothing valid: look whether the path now leads to another one."""
        if now - self._looked < REOPEN_EVERY:
            return HALTED
        self._looked = now
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            return HALTED
        try:
            found = os.fstat(descriptor)
            if found.st_size < SIZE or (self._map is not None and found.st_ino == self._inode):
                return HALTED
            fresh = mmap.mmap(descriptor, SIZE, mmap.MAP_SHARED, mmap.PROT_READ)
        except (OSError, ValueError):
            return HALTED
        finally:
            os.close(descriptor)
        self.close()
        self._map, self._inode = fresh, found.st_ino
        copy = fresh[:]
        if fresh[:8] != copy[:8]:
            return HALTED
        return record.decode(copy, now)

    def close(self) -> None:
        """Unmap; the next `read` opens again."""
        if self._map is not None:
            self._map.close()
        self._map = None
        self._bytes, self._permit = b"", HALTED
