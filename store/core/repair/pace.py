"""What repair waits for: its share of the bandwidth, and the disk."""

from __future__ import annotations

from typing import Any, Final

from msgspec.msgpack import Encoder

from store.core.messages import ANSWERED_BY, Question
from store.core.port import Port
from store.core.procedure import Ask, Group, Procedure, Rest

PAGE_BYTES: Final = 256 << 10
"""A message that carries data is closed when it has so many; one datum may be larger by itself."""

_encode: Final = Encoder().encode
_SECOND: Final = 1_000_000_000
_DISK_PAUSE_NANOS: Final = 1_000_000


def size_of(value: Any) -> int:
    """Bytes that `value` takes on the wire."""
    return len(_encode(value))


class Pace:
    """A limit on bytes per second: whoever has moved some, waits before he moves more."""

    def __init__(self, port: Port, bytes_per_second: int) -> None:
        if bytes_per_second < 1:
            raise ValueError(f"repair_bytes_per_second must be at least 1, got {bytes_per_second}")
        self._port = port
        self._bytes_per_second = bytes_per_second
        self._free_at = 0

    def spend(self, count: int) -> Procedure[None]:
        """Take note of `count` bytes, and wait until all that was moved so far is paid for."""
        now = self._port.now
        self._free_at = max(self._free_at, now) + count * _SECOND // self._bytes_per_second
        if self._free_at > now:
            yield Rest(self._free_at - now)


def ask(peer: str, question: Question) -> Procedure[Any]:
    """The answer of one node; None if it gives none in time, or another than was asked for."""
    answers = yield Ask((Group((peer,), 1),), question)
    expected = ANSWERED_BY[type(question)]
    return next((answer for _, answer in answers if isinstance(answer, expected)), None)


def durable(port: Port, deadline: int) -> Procedure[bool]:
    """Wait until all that was put so far is durable; false if it is not at `deadline`."""
    done: list[None] = []
    port.journal.then(lambda: done.append(None))
    while not done:
        if port.now >= deadline:
            return False
        yield Rest(_DISK_PAUSE_NANOS)
    return True
