"""Operations that look and then change what they saw, in two requests: what queues, identifiers, and sets and
counters over a register need.

At level `linearizable` the change is a cas, so it happens only if nobody came in between (and fails as
`mismatch` otherwise). Other levels have no cas, and the change is made blindly, as an application there would
have to: what two clients do at once may then be done on top of the same thing.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from checkers.convergence import COPIES
from checkers.history import Op
from store.core.messages import Body, Cas, Found, FoundCopies, Get, Inspect, Put, ReadResponse, Response
from workloads.values import whole

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
    """What `joined` made; raises `Garbled`."""
    return [whole(number) for number in held.split(b",")] if held else []


def joined(items: list[int]) -> bytes:
    return ",".join(map(str, items)).encode()


class Adding(ABC):
    """The `Codec` of `add`, `read` and `copies`. An add is one request to a convergent type, or (`looks`) a
    look at a register and then its change."""

    name: str

    def __init__(self, level: str, looks: bool) -> None:
        self._level = level
        self._looks = looks

    @abstractmethod
    def added(self, held: bytes | None, asked: Any) -> bytes:
        """What a register that holds `held` is to hold after an add."""

    @abstractmethod
    def edit(self, key: str, asked: Any) -> Body:
        """The add, to a convergent type."""

    @abstractmethod
    def shown(self, response: ReadResponse) -> Any:
        """What is kept; in words, what cannot be told."""

    def encode(self, op: Op) -> Body:
        assert op.key is not None
        match op.f:
            case "read":
                return Get(op.key, self._level)
            case "add" if isinstance(op.value, Looked):
                held = op.value.held
                return changed(op.key, held, self.added(held, op.value.asked), self._level)
            case "add":
                return Get(op.key, self._level) if self._looks else self.edit(op.key, op.value)
            case "copies":
                return Inspect(op.key)
        raise ValueError(f"{self.name} has add, read and copies, not {op.f!r}")

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, FoundCopies):
            copies = {node: self.shown(copy) for node, copy in sorted(response.copies.items())}
            return replace(op, type="ok", value=copies)
        if op.f == "read":
            assert isinstance(response, ReadResponse)
            return replace(op, type="ok", value=self.shown(response))
        if isinstance(response, Found):
            return looked(op, response.value)
        asked = op.value.asked if isinstance(op.value, Looked) else op.value
        return replace(op, type="ok", value=asked)

    def changes_nothing(self, op: Op) -> bool:
        return op.f in ("read", COPIES)
