"""Reading values back from JSON; an error names the field, what was expected and what was found."""

from __future__ import annotations

import math
from collections.abc import Mapping


def field(payload: Mapping[str, object], owner: str, name: str) -> object:
    """``payload[name]``; ValueError names the missing field."""
    if not isinstance(payload, Mapping):
        raise ValueError(f"{owner}: expected an object, found {type(payload).__name__}")
    if name not in payload:
        raise ValueError(f"{owner}: {name} expected, found nothing")
    return payload[name]


def as_float(value: object, owner: str, name: str) -> float:
    """A finite number (bool is none), else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{owner}: {name} must be a number, found {value!r}")
    try:
        number = float(value)
    except OverflowError:
        raise ValueError(f"{owner}: {name} must be finite, found {value!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{owner}: {name} must be finite, found {value!r}")
    return number


def as_count(value: object, owner: str, name: str) -> int:
    """An integer >= 0, else ValueError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{owner}: {name} must be an integer >= 0, found {value!r}")
    return value


def as_text(value: object, owner: str, name: str) -> str:
    """A string, else ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{owner}: {name} must be a string, found {value!r}")
    return value


def as_flag(value: object, owner: str, name: str) -> bool:
    """A boolean, else ValueError."""
    if not isinstance(value, bool):
        raise ValueError(f"{owner}: {name} must be true or false, found {value!r}")
    return value


def as_list(value: object, owner: str, name: str, length: int | None = None) -> list[object]:
    """A list (of ``length`` items when given), else ValueError."""
    if not isinstance(value, list | tuple):
        raise ValueError(f"{owner}: {name} must be a list, found {value!r}")
    if length is not None and len(value) != length:
        raise ValueError(f"{owner}: {name} must have {length} items, found {len(value)}")
    return list(value)


def as_floats(value: object, owner: str, name: str, length: int) -> list[float]:
    """A list of ``length`` finite numbers, else ValueError."""
    return [as_float(item, owner, name) for item in as_list(value, owner, name, length)]


def as_object(value: object, owner: str, name: str) -> Mapping[str, object]:
    """A JSON object, else ValueError."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{owner}: {name} must be an object, found {value!r}")
    return value


def expect_version(payload: Mapping[str, object], owner: str, version: int) -> None:
    """ValueError unless the payload was written by this version of its format."""
    found = field(payload, owner, "version")
    if found != version or isinstance(found, bool):
        raise ValueError(
            f"{owner}: version {version} expected, found {found!r}; "
            "start the detector anew, evidence is not carried between formats"
        )
