"""Learned references, kept in the pod so that a restarted guard need not learn again."""

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidegate.api.driftgate import DriftGateSpec
from tidegate.core.drift import Reference

log = logging.getLogger(__name__)

LARGEST = 1024 * 1024


def digest(spec: DriftGateSpec, *, paper: bool) -> str:
    """Of all that a reference depends on: one learned for other settings is not used."""
    parts: dict[str, Any] = {
        "signals": sorted((s.dump() for s in spec.signals), key=lambda s: str(s["family"])),
        "reference": spec.reference.dump(),
        "detection": spec.detection.dump(),
        "paper": paper,
    }
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


class ReferenceStore:
    """One JSON file: gate name to digest and references by family."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._kept = _read(path)

    def get(self, gate: str, wanted: str) -> dict[str, Reference]:
        """The references of `gate`, empty unless they were learned under digest `wanted`."""
        kept = self._kept.get(gate)
        if not isinstance(kept, dict) or kept.get("digest") != wanted:
            return {}
        try:
            found = {
                str(name): Reference.from_dict(payload)
                for name, payload in kept["families"].items()
            }
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            log.warning("%s: gate %s: %s; it is learned again", self._path, gate, error)
            return {}
        return {name: item for name, item in found.items() if item.family == name}

    def put(self, gate: str, wanted: str, references: Mapping[str, Reference]) -> None:
        """Keep and write. A file that can't be written costs a restart its calibration, no more."""
        self._kept[gate] = {
            "digest": wanted,
            "families": {name: item.to_dict() for name, item in references.items()},
        }
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}")
        try:
            temporary.write_text(json.dumps(self._kept))
            temporary.chmod(0o600)
            temporary.replace(self._path)
        except OSError as error:
            log.warning("%s: not written: %s", self._path, error)
            with contextlib.suppress(OSError):
                temporary.unlink()


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"expected at most {LARGEST} bytes, found {path.stat().st_size}")
        kept = json.loads(path.read_text())
        if not isinstance(kept, dict):
            raise ValueError(f"expected an object, found {type(kept).__name__}")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s: %s; references are learned again", path, error)
        return {}
    return kept
