"""Reads and writes of whole numbers, as requests: what the workloads over registers have in common."""

from __future__ import annotations

import re
from typing import Final

from msgspec.structs import replace

from checkers.convergence import COPIES
from checkers.history import Op
from harness.client import Garbled
from store.core.messages import Body, Delete, Found, FoundCopies, Get, Inspect, Put, ReadResponse, Response

_WRITTEN: Final = re.compile(rb"[1-9][0-9]{0,18}")
SHOWN_BYTES: Final = 40
_WHOLE: Final = re.compile(rb"-?[0-9]{1,18}")


class Values:
    """The `Codec` of `read`, `write` (None: delete it) and `copies` at a level of the store."""

    name: str
    asks = "read, write and copies"

    def __init__(self, level: str) -> None:
        self._level = level

    def encode(self, op: Op) -> Body:
        assert op.key is not None
        match op.f:
            case "read":
                return Get(op.key, self._level)
            case "write" if op.value is None:
                return Delete(op.key, self._level)
            case "write":
                return Put(op.key, value_to_bytes(op.value), self._level)
            case "copies":
                return Inspect(op.key)
        raise ValueError(f"{self.name} has {self.asks}, not {op.f!r}")

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, Found):
            return replace(op, type="ok", value=value_of(response.value))
        if isinstance(response, FoundCopies):
            copies = {node: _shown(copy) for node, copy in sorted(response.copies.items())}
            return replace(op, type="ok", value=copies)
        return replace(op, type="ok")

    def changes_nothing(self, op: Op) -> bool:
        return op.f in ("read", COPIES)


def value_to_bytes(value: int) -> bytes:
    return b"%d" % value


def value_of(data: bytes | None) -> int | str | None:
    """What `value_to_bytes` made, or, so that the checker convicts it, the text of what it did not make."""
    if data is None:
        return None
    return int(data) if _WRITTEN.fullmatch(data) else data.decode(errors="backslashreplace")


def whole(data: bytes) -> int:
    """A number that one of ours wrote; raises `Garbled`."""
    if _WHOLE.fullmatch(data) is None:
        raise Garbled(f"{data[:SHOWN_BYTES]!r}, which is no number")
    return int(data)


def _shown(copy: ReadResponse) -> int | str | None:
    return value_of(copy.value) if isinstance(copy, Found) else repr(copy)
