"""The wire: each frame is a 4-byte big-endian length and that many bytes of msgpack, one typed struct.

Sans I/O: bytes in, values out, and the other way round. Whatever does not fit raises `WireError`; the
connection that it came from is then closed, and nothing else is harmed. Versions are not negotiated here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from struct import Struct as Layout
from typing import Final, TypeVar

from msgspec import DecodeError
from msgspec.msgpack import Decoder, Encoder

from store.core.messages import (
    KEY_BYTES_MAX,
    VALUE_BYTES_MAX,
    Body,
    Cas,
    Hello,
    HelloClient,
    HelloPeer,
    PeerMessage,
    Put,
    Request,
    Response,
    Status,
)

FRAME_BYTES_MAX: Final = 2 * VALUE_BYTES_MAX + (64 << 10)
"""The largest frame is a Cas, which carries two values; the rest is for key, names and change ids."""

REFUSED: Final = 0
"""The id of a `Failed` by which a node refuses a whole connection, having served nothing on it."""

_LENGTH: Final = Layout(">I")

T = TypeVar("T")


class WireError(Exception):
    """What came is not of the protocol (or is too large to be sent): one sentence that says in which way."""


class FrameDecoder:
    """Cuts a stream into frames. `feed` bytes as they come, then take the payloads by iterating.

    Between iterations it keeps less than one frame; a frame above `frame_bytes_max` is refused when its
    header is seen. After a `WireError` every further iteration raises it again.
    """

    def __init__(self, frame_bytes_max: int = FRAME_BYTES_MAX) -> None:
        self._frame_bytes_max = frame_bytes_max
        self._buffer = bytearray()

    @property
    def buffered_bytes(self) -> int:
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def __iter__(self) -> Iterator[bytes]:
        buffer = self._buffer
        start, end = 0, len(buffer)
        try:
            while end - start >= 4:
                (size,) = _LENGTH.unpack_from(buffer, start)
                if size > self._frame_bytes_max:
                    raise WireError(f"a frame of {size} bytes is above the limit of {self._frame_bytes_max}")
                if end - start - 4 < size:
                    return
                start += 4 + size
                yield bytes(buffer[start - size : start])
        finally:
            del buffer[:start]


_encode = Encoder().encode


def frame(message: Hello | Request | Response | PeerMessage) -> bytes:
    """`message` as one frame; raises `WireError` if it is above the limit or has no encoding."""
    try:
        payload = _encode(message)
    except UnicodeEncodeError as error:
        text = error.object[error.start : error.end]
        raise WireError(f"a {type(message).__name__} with {text!r}, which has no form in UTF-8") from None
    if len(payload) > FRAME_BYTES_MAX:
        raise WireError(
            f"a {type(message).__name__} of {len(payload)} bytes is above the limit of {FRAME_BYTES_MAX}"
        )
    return _LENGTH.pack(len(payload)) + payload


def _decoder(decode: Callable[[bytes], T], what: str) -> Callable[[bytes], T]:
    def decode_or_refuse(payload: bytes) -> T:
        try:
            return decode(payload)
        except (DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise WireError(f"not {what}: {error}") from None

    return decode_or_refuse


def _check_key(key: str) -> None:
    """The types limit a key's characters, of which each takes up to 4 bytes."""
    if len(key) * 4 > KEY_BYTES_MAX:
        size = len(key.encode(errors="replace"))
        if size > KEY_BYTES_MAX:
            raise WireError(f"a key has 1 to {KEY_BYTES_MAX} bytes in UTF-8, not {size}")


_decode_request = _decoder(Decoder(Request).decode, "a request")
_decode_message: Callable[[bytes], PeerMessage] = _decoder(Decoder(PeerMessage).decode, "a peer's message")

decode_response: Callable[[bytes], Response] = _decoder(Decoder(Response).decode, "a response")
decode_hello: Callable[[bytes], HelloPeer | HelloClient] = _decoder(Decoder(Hello).decode, "a hello")


def decode_request(payload: bytes) -> Request:
    request = _decode_request(payload)
    if not isinstance(request.body, Status):
        _check_key(request.body.key)
    return request


def decode_message(payload: bytes) -> PeerMessage:
    message = _decode_message(payload)
    key = getattr(message, "key", None)
    if key is not None:
        _check_key(key)
    return message


def check_body(body: Body) -> None:
    """Raises `WireError` if a node would refuse `body` as malformed: a key or a value of a wrong size."""
    if isinstance(body, Status):
        return
    if not body.key:
        raise WireError(f"a key has 1 to {KEY_BYTES_MAX} bytes in UTF-8, not 0")
    _check_key(body.key)
    for value in _values(body):
        if len(value) > VALUE_BYTES_MAX:
            raise WireError(f"a value has at most {VALUE_BYTES_MAX} bytes, not {len(value)}")


def _values(body: Body) -> list[bytes]:
    match body:
        case Put(value=value):
            return [value]
        case Cas(expect=expect, value=value):
            return [value] if expect is None else [expect, value]
    return []
