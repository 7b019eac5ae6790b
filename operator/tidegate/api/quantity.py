"""Kubernetes quantities and durations as exact numbers.

Quantities are `fractions of a base unit` in the apiserver too; a float would let 0.1 + 0.2 CPU miss
a quota of 0.3, so everything here is `Decimal` or integer milliseconds.
"""

import re
from decimal import ROUND_UP, Decimal, InvalidOperation

_SUFFIX = {
    "n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3"), "": Decimal(1),
    "k": Decimal(10) ** 3, "M": Decimal(10) ** 6, "G": Decimal(10) ** 9,
    "T": Decimal(10) ** 12, "P": Decimal(10) ** 15, "E": Decimal(10) ** 18,
    "Ki": Decimal(2) ** 10, "Mi": Decimal(2) ** 20, "Gi": Decimal(2) ** 30,
    "Ti": Decimal(2) ** 40, "Pi": Decimal(2) ** 50, "Ei": Decimal(2) ** 60,
}  # fmt: skip
_QUANTITY = re.compile(
    r"([+-]?(?:\d+\.?\d*|\.\d+))(?:([eE][+-]?\d+)|(n|u|m|k|Ki|Mi|Gi|Ti|Pi|Ei|M|G|T|P|E)?)$"
)
_DURATION_UNITS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
# Beyond these the apiserver caps, and rounds away from zero.
_MOST = Decimal(2**63 - 1)
_NANO = Decimal("1e-9")
DURATION_PATTERN = r"^([0-9]+(ms|s|m|h))+$"
DECIMAL_PATTERN = r"^[0-9]+(\.[0-9]+)?$"


def parse_quantity(text: str | int | float) -> Decimal:
    """A Kubernetes quantity ("2", "100m", "1.5Gi", "1e3") in base units, within ±2^63-1 and a nano.

    Raises ValueError naming what was found.
    """
    match = _QUANTITY.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"expected a Kubernetes quantity such as 500m or 2Gi, was {text!r}")
    number, exponent, suffix = match.groups()
    try:
        plain = Decimal(number + (exponent or ""))
    except InvalidOperation as error:
        raise ValueError(f"expected a Kubernetes quantity, was {text!r}") from error
    if not plain:
        return Decimal(0)
    # Judged by magnitude first: arithmetic on 1e9999999 would overflow.
    if plain.adjusted() > 30:
        return _MOST.copy_sign(plain)
    if plain.adjusted() < -30:
        return _NANO.copy_sign(plain)
    value = plain * _SUFFIX[suffix or ""]
    if abs(value) > _MOST:
        return _MOST.copy_sign(value)
    return value if value == value.quantize(_NANO) else value.quantize(_NANO, ROUND_UP)


def format_quantity(value: Decimal, resource: str = "") -> str:
    """`value` in the shortest exact form kubectl users read: 500m CPU, 2Gi memory, 3 pods."""
    if value == value.to_integral_value():
        whole = int(value)
        if "memory" in resource or "storage" in resource:
            for suffix in ("Gi", "Mi", "Ki"):
                unit = int(_SUFFIX[suffix])
                if whole and whole % unit == 0:
                    return f"{whole // unit}{suffix}"
        return str(whole)
    milli = value * 1000
    if milli == milli.to_integral_value():
        return f"{int(milli)}m"
    return format(value.normalize(), "f")


def parse_duration_ms(text: str) -> int:
    """A duration such as "5s", "100ms" or "1h30m" in milliseconds. Raises ValueError."""
    if re.fullmatch(DURATION_PATTERN, text) is None:
        raise ValueError(f"expected a duration such as 5s, 100ms or 1h30m, was {text!r}")
    return sum(
        int(number) * _DURATION_UNITS[unit]
        for number, unit in re.findall(r"([0-9]+)(ms|s|m|h)", text)
    )


def parse_duration(text: str) -> float:
    """A duration in seconds. Raises ValueError."""
    return parse_duration_ms(text) / 1000
