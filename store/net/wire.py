"""The wire: each frame is a 4-byte big-endian length and that many bytes of msgpack, one typed struct.

Sans I/O: bytes in, values out, and the other way round. Whatever does not fit raises `WireError`; the
connection that it came from is then closed, and nothing else is harmed. Versions are not negotiated here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from struct import Struct as Format
from typing import Any, Final, TypeVar

from msgspec import DecodeError
from msgspec.msgpack import Decoder, Encoder

from store.core.messages import (
    KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
    Admin,
    Body,
    Cas,
    ChangeElements,
    ChangeFields,
    Failed,
    Itemize,
    Itemized,
    Layout,
    LayoutIs,
    List,
    Listed,
    Locate,
    Mend,
    MultiGet,
    Obtain,
    Obtained,
    Opening,
    PeerMessage,
    Pull,
    Pulled,
    Put,
    Request,
    Response,
    Scan,
    Settle,
    Status,
)

FRAME_BYTES_MAX: Final = 2 * VALUE_BYTES_MAX + (64 << 10)
"""The largest frame is a Cas, which carries two values; the rest is for key, names and change ids."""

REFUSED: Final = 0
"""The id of a `Failed` by which a node refuses a whole connection, having served nothing on it."""

POINTS_MAX: Final = 1 << 18
"""The most points on a ring that a node reckons with."""

_LENGTH: Final = Format(">I")

T = TypeVar("T")


class WireError(Exception):
    """What came is not of the protocol (or is too large to be sent): one sentence that says in which way."""


class FrameDecoder:
    """Cuts a stream into frames. `feed` bytes as they come, then take the payloads by iterating.

    Between iterations it keeps less than one frame; a frame above `frame_bytes_max` is refused when its
    header is seen. After a `WireError` every further iteration raises it again.
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self.frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next(self) -> bytes | None:
        """Only the next payload, if it is there."""
        payloads = iter(self)
        try:
            return next(payloads, None)
        finally:
            payloads.close()

    def __iter__(self) -> Generator[bytes]:
        buffer = self._buffer
        start, end = 0, len(buffer)
        try:
            while end - start >= 4:
                (size,) = _LENGTH.unpack_from(buffer, start)
                if size > self.frame_bytes_max:
                    raise WireError(f"a frame of {size} bytes is above the limit of {self.frame_bytes_max}")
                if end - start - 4 < size:
                    return
                start += 4 + size
                yield bytes(buffer[start - size : start])
        finally:
            del buffer[:start]


_encode = Encoder().encode


def frame(message: Opening | Request | Response | PeerMessage) -> bytes:
    """`message` as one frame; raises `WireError` if it is above the limit or has no encoding."""
    try:
        payload = _encode(message)
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        raise WireError(f"a {type(message).__name__} with {text!r}, which has no form in UTF-8") from None
    except OverflowError:
        raise WireError(f"a {type(message).__name__} with a number of more than 64 bits") from None
    if len(payload) > FRAME_BYTES_MAX:
        raise WireError(
            f"a {type(message).__name__} of {len(payload)} bytes is above the limit of {FRAME_BYTES_MAX}"
        )
    return _LENGTH.pack(len(payload)) + payload


def refusal(text: str, code: str = "bad-request") -> Failed:
    """By which a node refuses a whole connection."""
    return Failed(REFUSED, code, text)


def _decoder(decode: Callable[[bytes], T], what: str) -> Callable[[bytes], T]:
    def decode_or_refuse(payload: bytes) -> T:
        try:
            return decode(payload)
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"not {what}: {error}") from None

    return decode_or_refuse


_decode_request = _decoder(Decoder(Request).decode, "a request")
_decode_message: Callable[[bytes], PeerMessage] = _decoder(Decoder(PeerMessage).decode, "a peer's message")

decode_response: Callable[[bytes], Response] = _decoder(Decoder(Response).decode, "a response")
decode_opening: Callable[[bytes], Opening | Failed] = _decoder(Decoder(Opening | Failed).decode, "a hello")
"""Also the refusal of a node that one has come to."""


def decode_request(payload: bytes) -> Request:
    request = _decode_request(payload)
    for key in _keys(request.body):
        _check_key(key)
    return request


def decode_message(payload: bytes) -> PeerMessage:
    """What makes no sense whatever the node's state is refused here, so that the protocols need not ask."""
    message = _decode_message(payload)
    key = getattr(message, "key", None)
    if key is not None:
        _check_key(key)
    elif (check := _CHECKS.get(type(message))) is not None:
        check(message)
    return message


def check_body(body: Body) -> None:
    """Raises `WireError` if a node would refuse `body` as malformed: a key or a value of a wrong size."""
    for key in _keys(body):
        if not key and not isinstance(body, Scan):
            raise WireError(f"a key has 1 to {KEY_BYTES_MAX} bytes in UTF-8, not 0")
        _check_key(key)
    for value in _values(body):
        if len(value) > VALUE_BYTES_MAX:
            raise WireError(f"a value has at most {VALUE_BYTES_MAX} bytes, not {len(value)}")


def check_layout(layout: Layout) -> None:
    """Raises `WireError` if no ring can be made of it."""
    for what, names in (
        ("owners", [member.name for member in layout.owners]),
        ("next owners", [member.name for member in layout.next or ()]),
        ("council", layout.council),
        ("buckets", [bucket.name for bucket in layout.buckets]),
        ("next buckets", [bucket.name for bucket in layout.next_buckets or ()]),
    ):
        if len(set(names)) != len(names):
            raise WireError(f"a layout whose {what} are not distinct")
        if len(names) * layout.vnodes > POINTS_MAX and "buckets" not in what:
            raise WireError(f"a layout of more than {POINTS_MAX} points on the ring")


def _check_key(key: str) -> None:
    """The types limit a key's characters, of which each takes up to 4 bytes."""
    if len(key) * 4 > KEY_BYTES_MAX:
        size = len(key.encode(errors="replace"))
        if size > KEY_BYTES_MAX:
            raise WireError(f"a key has 1 to {KEY_BYTES_MAX} bytes in UTF-8, not {size}")


def _check_keys(keys: Iterable[str]) -> None:
    for key in keys:
        _check_key(key)


_CHECKS: Final[dict[type, Callable[[Any], None]]] = {
    LayoutIs: lambda message: check_layout(message.layout),
    List: lambda message: _check_keys((message.prefix, message.after)),
    Listed: lambda message: _check_keys(message.keys),
    Pull: lambda message: _check_key(message.after),
    Pulled: lambda message: _check_keys(
        (message.through, *message.registers, *(key for key, _ in message.data))
    ),
    Itemize: lambda message: _check_key(message.after),
    Itemized: lambda message: _check_keys(key for key, _ in message.entries),
    Obtain: lambda message: _check_keys(message.keys),
    Obtained: lambda message: _check_keys(key for key, _ in message.data),
    Mend: lambda message: _check_keys(key for key, _ in message.data),
    Settle: lambda message: _check_keys(key for key, _ in message.entries),
}
"""For messages that concern no single key."""


def _keys(body: Body) -> Sequence[str]:
    match body:
        case Status() | Locate() | Admin():
            return ()
        case MultiGet(keys=keys):
            return keys
        case Scan(prefix=prefix, after=after):
            return prefix, after
        case ChangeFields(key=key, fields=fields):
            return key, *fields
    return (body.key,)


def _values(body: Body) -> Sequence[bytes]:
    match body:
        case Put(value=value):
            return (value,)
        case Cas(expect=expect, value=value):
            return (value,) if expect is None else (expect, value)
        case ChangeElements(add=add, remove=remove):
            return add + remove
        case ChangeFields(fields=fields):
            return [value for value in fields.values() if value is not None]
    return ()
