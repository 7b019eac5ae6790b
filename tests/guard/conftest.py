"""Fixtures of the guard's and the runtime's tests; helpers stand in guard_desk and fake_kube."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# pytest's importlib mode puts no test folder on the path.
sys.path.insert(0, str(Path(__file__).parent))

from guard_desk import Desk


@pytest.fixture
def run_dir() -> Iterator[Path]:
    """Short: a unix socket's path has at most 107 characters."""
    with tempfile.TemporaryDirectory(prefix="tg-") as folder:
        yield Path(folder)


@pytest.fixture
def desk(run_dir: Path) -> Iterator[Desk]:
    made = Desk(run_dir)
    try:
        yield made
    finally:
        made.stop()
