"""What the simulated venue and its clients say to each other: one JSON object a WebSocket message.

Client to venue: order, cancel, probe. Venue to client: tick, ack, fill, done, probe, error. All
orders are at the market and immediate: what does not fill at once expires.
"""

from typing import Literal

import msgspec

from tidegate.api.wire import Side

SYMBOLS = ("BTC-USD", "ETH-USD")
LATENCY_MS = 50.0
"""Median of the venue's service time, and what paper expects. Far above a busy machine's scheduling
noise: what the client measures is then the venue and not the scheduler."""
SPREAD_BPS = 2.0
"""Median spread of the venue, and what paper assumes."""


class NewOrder(msgspec.Struct, tag="order", frozen=True):
    key: str
    symbol: str
    side: Side
    quantity: float


class Cancel(msgspec.Struct, tag="cancel", frozen=True):
    key: str


class Ping(msgspec.Struct, tag="probe", frozen=True):
    """Answered after the service time of an order."""

    id: int


class Touch(msgspec.Struct, tag="tick", frozen=True):
    symbol: str
    bid: float
    ask: float


class Acked(msgspec.Struct, tag="ack", frozen=True):
    key: str


class Filled(msgspec.Struct, tag="fill", frozen=True):
    key: str
    trade: str
    price: float
    quantity: float


class Ended(msgspec.Struct, tag="done", frozen=True):
    key: str
    status: Literal["filled", "expired", "cancelled", "rejected"]
    filled: float
    message: str = ""


class Refused(msgspec.Struct, tag="error", frozen=True):
    """A message that is none; the connection stays."""

    message: str


Request = NewOrder | Cancel | Ping
Response = Touch | Acked | Filled | Ended | Ping | Refused

_requests: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
_responses: msgspec.json.Decoder[Response] = msgspec.json.Decoder(Response)
_encoder = msgspec.json.Encoder()


def decode_request(text: str | bytes) -> Request:
    """Raises ValueError (msgspec's message) for anything else."""
    try:
        return _requests.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def decode_response(text: str | bytes) -> Response:
    """Raises ValueError (msgspec's message) for anything else."""
    try:
        return _responses.decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(str(error)) from error


def encode(message: Request | Response) -> str:
    return _encoder.encode(message).decode()
