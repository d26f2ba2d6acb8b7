"""Operations that look and then change what they saw, in two requests: what queues, identifiers and counters
over a register need.

At level `linearizable` the change is a cas, so it happens only if nobody came in between (and fails as
`mismatch` otherwise). Other levels have no cas, and the change is made blindly, as an application there would
have to: what two clients do at once may then be done on top of the same thing.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from checkers.history import Op
from store.core.messages import Body, Cas, Put

LINEARIZABLE: Final = "linearizable"


class Looked(Struct, frozen=True):
    """The value of an operation between its two requests: what was asked, and what the register held."""

    asked: Any
    held: bytes | None


def looked(op: Op, held: bytes | None) -> Op:
    """`op`, which goes on."""
    return replace(op, value=Looked(op.value, held))


def changed(key: str, held: bytes | None, new: bytes, level: str) -> Body:
    return Cas(key, held, new, level) if level == LINEARIZABLE else Put(key, new, level)


def numbers(held: bytes | None) -> list[int]:
    """What `joined` made."""
    return [int(number) for number in held.split(b",")] if held else []


def joined(items: list[int]) -> bytes:
    return ",".join(map(str, items)).encode()
