"""Whatever is in the 64 bytes, only a whole, current and valid record lets anybody trade."""

import struct
import zlib

from hypothesis import given
from hypothesis import strategies as st

from tidegate.api.permit import (
    BODY_END,
    HALTED,
    LAYOUT,
    MAGIC,
    SIZE,
    Permit,
    State,
    decode,
    encode,
    pack_version,
    version,
)

NOW = 10**12
LATER = st.integers(NOW + 1, 2**63 - 1)
SEQUENCE = st.integers(0, 2**64 - 1)
WRITTEN = st.integers(-(2**63), 2**63 - 1)
OPEN = st.builds(
    Permit,
    st.sampled_from([State.REDUCING, State.ACTIVE]),
    st.integers(1, 100),
    SEQUENCE,
    LATER,
    WRITTEN,
)


def record(permit: Permit, *, number: int = 2) -> bytes:
    """The 64 bytes of a file that holds `permit`."""
    return (pack_version(number) + encode(permit)).ljust(SIZE, b"\0")


def sealed(body: bytes, *, number: int = 2) -> bytes:
    """A record of any 32 bytes with a right crc."""
    return (pack_version(number) + body + struct.pack("<I", zlib.crc32(body))).ljust(SIZE, b"\0")


@given(OPEN)
def test_a_permit_is_read_as_written(permit: Permit) -> None:
    assert decode(record(permit), NOW) == permit


@given(st.binary(min_size=SIZE, max_size=SIZE), st.integers(0, 2**63 - 1))
def test_any_64_bytes_without_a_right_crc_halt(data: bytes, now: int) -> None:
    crc = zlib.crc32(data[8:BODY_END]).to_bytes(4, "little")
    if data[BODY_END : BODY_END + 4] != crc:
        assert decode(data, now) == HALTED


@given(
    magic=st.sampled_from([MAGIC, b"TGP2", b"\0\0\0\0"]),
    layout=st.sampled_from([LAYOUT, 0, 2]),
    state=st.integers(0, 255),
    allocation=st.integers(0, 255),
    deadline=st.sampled_from([NOW - 1, NOW, NOW + 1]),
    number=st.integers(0, 2**64 - 1),
)
def test_every_field_must_be_right(
    magic: bytes, layout: int, state: int, allocation: int, deadline: int, number: int
) -> None:
    body = struct.pack("<4sHBBQqq", magic, layout, state, allocation, 7, deadline, 0)
    allowed = (
        number % 2 == 0
        and magic == MAGIC
        and layout == LAYOUT
        and state in (State.REDUCING, State.ACTIVE)
        and 1 <= allocation <= 100
        and deadline > NOW
    )
    read = decode(sealed(body, number=number), NOW)
    assert (read.state is not State.HALTED) == allowed
    assert (read.allocation > 0) == allowed


@given(st.binary(max_size=200), st.integers(-(2**63), 2**63 - 1))
def test_reading_never_raises(data: bytes, now: int) -> None:
    assert decode(data[:8].ljust(8, b"\0") + data, now).allocation in range(101)
    assert decode(data, now).allocation in range(101)


@given(OPEN, st.integers(8 * 8, 8 * (BODY_END + 4) - 1))
def test_one_flipped_bit_halts(permit: Permit, bit: int) -> None:
    data = bytearray(record(permit))
    data[bit // 8] ^= 1 << bit % 8
    assert decode(bytes(data), NOW) == HALTED


@given(OPEN, st.integers(0, SIZE - 1))
def test_a_short_record_halts(permit: Permit, length: int) -> None:
    assert decode(record(permit)[:length], NOW) == HALTED


@given(OPEN)
def test_a_record_under_way_halts(permit: Permit) -> None:
    """The writer makes the version odd before it touches the rest."""
    assert decode(record(permit, number=3), NOW) == HALTED


@given(OPEN, OPEN, st.integers(0, SIZE))
def test_a_torn_record_is_one_of_both_or_halts(old: Permit, new: Permit, at: int) -> None:
    torn = record(new, number=4)[:at] + record(old, number=2)[at:]
    assert decode(torn, NOW) in (old, new, HALTED)


@given(OPEN)
def test_a_halt_keeps_its_sequence(permit: Permit) -> None:
    halt = Permit(State.HALTED, 0, permit.sequence, permit.deadline, permit.written)
    assert decode(record(halt), NOW) == halt


@given(st.integers(0, 2**64 - 1))
def test_the_version_is_the_first_eight_bytes(number: int) -> None:
    assert version(record(HALTED, number=number)) == number
