"""What processes tell each other: reports (strategy to guard) and evidence (guard to operator).

Reports are JSON objects in datagrams on a unix socket, one report or an array of them per datagram,
`type` naming which. Times are CLOCK_MONOTONIC nanoseconds of the pod's host: one clock, no skew.
Evidence is newline-delimited JSON over HTTP.
"""

from typing import Literal

import msgspec

Side = Literal["buy", "sell"]
Book = Literal["paper", "live"]

# Inside the pod: the memory-backed volume that guard and strategy share.
RUN_DIR = "/run/tidegate"
PERMIT_FILE = "permit"
REPORT_SOCKET = "reports.sock"
REFERENCE_FILE = "reference.json"
GUARD_PORT = 9464
EVIDENCE_PATH = "/v1/evidence"


class Step(msgspec.Struct, tag="step", frozen=True):
    """One finished on_tick: the strategy is alive. latency in ns from receive to return."""

    n: int
    at: int
    latency: int


class Order(msgspec.Struct, tag="order", frozen=True):
    """An order as sent. `key` pairs the live order with its paper twin."""

    key: str
    book: Book
    symbol: str
    side: Side
    quantity: float
    arrival: float  # mid price when the strategy decided
    at: int


class Ack(msgspec.Struct, tag="ack", frozen=True):
    """The venue (or the paper broker's model) acknowledged; latency in ns."""

    key: str
    book: Book
    latency: int
    at: int


class Fill(msgspec.Struct, tag="fill", frozen=True):
    key: str
    book: Book
    trade: str
    price: float
    quantity: float
    at: int


class Done(msgspec.Struct, tag="done", frozen=True):
    """The order can fill no more. status: filled, expired, cancelled, rejected.

    `filled` is the quantity filled in all. With it the end of an order may overtake its fills: the
    guard waits for them. Without it, an order that is not `filled` ends with the fills seen so far.
    """

    key: str
    book: Book
    status: Literal["filled", "expired", "cancelled", "rejected"]
    at: int
    filled: float | None = None


class Quote(msgspec.Struct, tag="quote", frozen=True):
    """The market as seen (conflated to about 10 a second); paper_spread is what paper assumed."""

    symbol: str
    bid: float
    ask: float
    paper_spread: float
    at: int


class Probe(msgspec.Struct, tag="probe", frozen=True):
    """A round trip to the venue without an order, so that latency is known while halted."""

    latency: int
    expected: int
    at: int


Report = Step | Order | Ack | Fill | Done | Quote | Probe

_one = msgspec.json.Decoder(Report)
_many = msgspec.json.Decoder(list[Report])
_encoder = msgspec.json.Encoder()


def decode_reports(datagram: bytes) -> list[Report]:
    """The reports of one datagram. Raises ValueError (msgspec's message) for anything else."""
    try:
        if datagram[:1] == b"[":
            return _many.decode(datagram)
        return [_one.decode(datagram)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def encode_reports(reports: list[Report]) -> bytes:
    return _encoder.encode(reports)


class Fault(msgspec.Struct, frozen=True, rename="camel"):
    """Data that can't be trusted: never drift. `kind` selects the gate's onFault entry."""

    kind: Literal["noData", "stale", "invalid"]
    reason: str
    message: str = ""


class SignalEvidence(msgspec.Struct, frozen=True, rename="camel"):
    """One family: basis points; None where nothing is known yet."""

    family: str
    score: float = 0.0
    estimate_bps: float | None = None
    low_bps: float | None = None
    high_bps: float | None = None
    minimum_detectable_bps: float | None = None
    events: int = 0
    # Reversed test since `GateEvidence.sequence` began; 1.0 is no evidence of health.
    recovery_p: float = 1.0
    recovery_events: int = 0


class GateEvidence(msgspec.Struct, frozen=True, rename="camel"):
    """What one guard knows for one gate. Holds only for the gate's transition `sequence`."""

    gate: str
    sequence: int
    calibrated: bool
    score: float = 0.0
    warned: bool = False
    tripped: bool = False
    reference_events: int = 0
    faults: tuple[Fault, ...] = ()
    signals: tuple[SignalEvidence, ...] = ()
    tripped_at: float | None = None  # wall clock, seconds: for the record, never compared


class PermitEvidence(msgspec.Struct, frozen=True, rename="camel"):
    state: Literal["Active", "Reducing", "Halted"]
    allocation_percent: int
    reason: str = ""
    gates: tuple[str, ...] = ()
    since: float = 0.0  # wall clock, seconds


class Evidence(msgspec.Struct, frozen=True, rename="camel"):
    """One line of a guard's stream: all it knows now."""

    strategy: str
    boot: str  # the guard's own start, so that a restart is seen
    seq: int
    permit: PermitEvidence
    gates: tuple[GateEvidence, ...] = ()
    steps: int = 0
    step_age: float | None = None  # seconds since the last step
    step_p95_ms: float | None = None
    orders: int = 0
    fills: int = 0
    pairs: int = 0
    v: int = 1


_evidence = msgspec.json.Decoder(Evidence)


def decode_evidence(line: bytes) -> Evidence:
    """One line of a guard's stream. Raises ValueError for anything else."""
    try:
        return _evidence.decode(line)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def encode_evidence(evidence: Evidence) -> bytes:
    return _encoder.encode(evidence) + b"\n"
