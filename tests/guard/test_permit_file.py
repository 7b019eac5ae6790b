"""The permit as shared memory: what is written is read, and nothing torn is ever believed."""

import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tidegate.api.permit import HALTED, SIZE, Permit, State
from tidegate.guard.permit_file import PermitFile
from tidegate.runtime.permit import REOPEN_EVERY, PermitReader

ROOT = Path(__file__).resolve().parents[2]
FAR = 10**18


class Clock:
    def __init__(self) -> None:
        self.now = 10**9

    def __call__(self) -> int:
        return self.now


def test_roundtrip_and_expiry(run_dir: Path) -> None:
    clock = Clock()
    file, reader = PermitFile(run_dir / "permit"), PermitReader(run_dir / "permit", clock)
    permit = Permit(State.ACTIVE, 25, 7, 2 * 10**9, 10**9)
    file.write(permit)
    assert reader.read() == permit
    assert reader.read() == permit  # from the cache
    clock.now = 2 * 10**9
    assert reader.read().state is State.HALTED
    file.write(Permit(State.REDUCING, 50, 8, 3 * 10**9, clock.now))
    assert reader.read().state is State.REDUCING
    file.write(Permit(State.HALTED, 0, 9, 3 * 10**9, clock.now))
    assert reader.read().state is State.HALTED


def test_file_is_readable_by_all_and_writable_by_one(run_dir: Path) -> None:
    old = os.umask(0o077)
    try:
        PermitFile(run_dir / "permit")
    finally:
        os.umask(old)
    found = (run_dir / "permit").stat()
    assert stat.S_IMODE(found.st_mode) == 0o644
    assert found.st_size == SIZE
    assert [p.name for p in run_dir.iterdir()] == ["permit"]


def test_missing_then_made_then_replaced(run_dir: Path) -> None:
    clock = Clock()
    path = run_dir / "permit"
    reader = PermitReader(path, clock)
    assert reader.read() == HALTED
    PermitFile(path).write(Permit(State.ACTIVE, 100, 1, FAR))
    clock.now += REOPEN_EVERY
    assert reader.read().allocation == 100
    path.unlink()
    PermitFile(path).write(Permit(State.ACTIVE, 10, 2, FAR))
    assert reader.read().allocation == 100, "the old file is valid until its deadline"
    clock.now = FAR
    assert reader.read() == HALTED
    PermitFile(path).write(Permit(State.ACTIVE, 10, 2, 2 * FAR))
    clock.now += REOPEN_EVERY
    assert reader.read().allocation == 10


def test_a_new_guard_goes_on_in_the_mapped_file(run_dir: Path) -> None:
    path = run_dir / "permit"
    first, reader = PermitFile(path), PermitReader(path)
    first.write(Permit(State.ACTIVE, 100, 1, FAR))
    assert reader.read().allocation == 100
    first.close()
    second = PermitFile(path)
    second.write(Permit(State.HALTED, 0, 1, FAR))
    assert reader.read().state is State.HALTED
    second.write(Permit(State.ACTIVE, 50, 2, FAR))
    assert reader.read().allocation == 50


def test_a_writer_killed_half_way_leaves_halted(run_dir: Path) -> None:
    path = run_dir / "permit"
    PermitFile(path).write(Permit(State.ACTIVE, 100, 1, FAR))
    raw = bytearray(path.read_bytes())
    raw[0] |= 1
    with path.open("r+b") as file:
        file.write(raw)
    assert PermitReader(path).read() == HALTED
    PermitFile(path).write(Permit(State.ACTIVE, 20, 2, FAR))
    assert PermitReader(path).read().allocation == 20


@pytest.mark.parametrize("content", [b"", b"x", b"\xff" * 63, b"\xff" * 64, bytes(64), bytes(4096)])
def test_rubbish_is_halted_and_a_guard_gets_over_it(run_dir: Path, content: bytes) -> None:
    path = run_dir / "permit"
    path.write_bytes(content)
    assert PermitReader(path).read() == HALTED
    PermitFile(path).write(Permit(State.ACTIVE, 20, 2, FAR))
    assert PermitReader(path).read().allocation == 20


def test_a_link_is_not_followed(run_dir: Path) -> None:
    victim = run_dir / "victim"
    victim.write_bytes(bytes(64))
    (run_dir / "permit").symlink_to(victim)
    assert PermitReader(run_dir / "permit").read() == HALTED
    PermitFile(run_dir / "permit").write(Permit(State.ACTIVE, 20, 2, FAR))
    assert victim.read_bytes() == bytes(64)


def test_no_torn_read_under_a_writer_in_another_process(run_dir: Path) -> None:
    """The writer never pauses and keeps its fields in step; a torn record would break that."""
    path = run_dir / "permit"
    writer = subprocess.Popen(
        [
            sys.executable, "-c",
            "import sys; from pathlib import Path\n"
            "from tidegate.api.permit import Permit, State\n"
            "from tidegate.guard.permit_file import PermitFile\n"
            "file, n = PermitFile(Path(sys.argv[1])), 0\n"
            "while True:\n"
            "    n += 1\n"
            "    file.write(Permit(State.ACTIVE, n % 100 + 1, n, 10**18 + n, n))\n",
            str(path),
        ],
        env={**os.environ, "PYTHONPATH": str(ROOT / "operator")},
    )  # fmt: skip
    try:
        reader = PermitReader(path)
        seen = halted = reads = 0
        last = -1
        until = time.monotonic() + 20.0
        while seen < 2000 and time.monotonic() < until:
            permit = reader.read()
            reads += 1
            if permit.state is State.HALTED:
                halted += 1
                continue
            assert permit.allocation == permit.sequence % 100 + 1
            assert permit.deadline == 10**18 + permit.sequence
            assert permit.sequence >= last
            seen += permit.sequence != last
            last = permit.sequence
    finally:
        writer.kill()
        writer.wait()
    assert seen == 2000
    print(f"\n{reads} reads, {seen} different permits, {halted} halted")
