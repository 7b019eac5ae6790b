"""The permit record: 64 bytes in shared memory, written by the guard, read before every order.

Layout, little-endian:

    offset size  field
         0   8   version     even: stable; odd: being written (seqlock)
         8   4   magic       b"TGP1"
        12   2   layout      1
        14   1   state       0 Halted, 1 Reducing, 2 Active
        15   1   allocation  0-100 percent
        16   8   sequence    grows by one with each change of state or allocation
        24   8   deadline    CLOCK_MONOTONIC ns; past it the permit means Halted
        32   8   written     CLOCK_MONOTONIC ns of this record
        40   4   crc32       of bytes 8..40, so that a torn read can't pass for a permit
        44  20   zero

A reader in any language: read version, copy, read version again; equal and even, magic, layout and
crc right, deadline in the future: else Halted.
"""

import struct
import zlib
from dataclasses import dataclass
from enum import IntEnum

SIZE = 64
MAGIC = b"TGP1"
LAYOUT = 1
_BODY = struct.Struct("<4sHBBQqq")
_VERSION = struct.Struct("<Q")
_CRC = struct.Struct("<I")
BODY_END = 8 + _BODY.size


class State(IntEnum):
    HALTED = 0
    REDUCING = 1
    ACTIVE = 2


@dataclass(frozen=True, slots=True)
class Permit:
    """What a strategy may do until `deadline` (CLOCK_MONOTONIC, ns)."""

    state: State
    allocation: int
    sequence: int = 0
    deadline: int = 0
    written: int = 0


HALTED = Permit(State.HALTED, 0)


def encode(permit: Permit) -> bytes:
    """Bytes 8..44 of the record: body and crc. The writer brackets them with the version."""
    body = _BODY.pack(
        MAGIC, LAYOUT, permit.state, permit.allocation, permit.sequence, permit.deadline,
        permit.written,
    )  # fmt: skip
    return body + _CRC.pack(zlib.crc32(body))


def decode(record: bytes, now: int) -> Permit:
    """The permit in force at `now` (CLOCK_MONOTONIC ns), HALTED for anything doubtful.

    `record` is a copy of the 64 bytes. Never raises.
    """
    if len(record) < SIZE or record[0] & 1:
        return HALTED
    body = record[8:BODY_END]
    if zlib.crc32(body) != _CRC.unpack_from(record, BODY_END)[0]:
        return HALTED
    magic, layout, state, allocation, sequence, deadline, written = _BODY.unpack(body)
    if magic != MAGIC or layout != LAYOUT or state > 2 or allocation > 100 or now >= deadline:
        return HALTED
    if state == State.HALTED or allocation == 0:
        return Permit(State.HALTED, 0, sequence, deadline, written)
    return Permit(State(state), allocation, sequence, deadline, written)


def version(record: bytes) -> int:
    """The seqlock version of a record."""
    return int(_VERSION.unpack_from(record, 0)[0])


def pack_version(value: int) -> bytes:
    return _VERSION.pack(value)
