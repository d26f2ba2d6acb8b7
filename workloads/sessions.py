"""The sessions workload: clients read and write a few keys, every value new; at the end everything is read
from every node. Judged by what each client may rely on by itself: to read its own writes, and never an older
value than before; and that all see its writes in order, and after what it had seen (Terry et al. 1994).

Only `linearizable` promises all four for several keys at once.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from checkers.agreement import CopiesAgree
from checkers.convergence import COPIES
from checkers.history import Op
from checkers.linear import Stream
from checkers.sessions import Sessions
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from store.core.messages import Body, Found, FoundCopies, Get, Inspect, Put, ReadResponse, Response
from workloads.change import LINEARIZABLE
from workloads.final import look_and_read, read_everywhere
from workloads.register import value_of, value_to_bytes

KEYS: Final = tuple([f"k{number}" for number in range(1, 11)])


class SessionsWork:
    name = "sessions"
    summary = "read and write; each client's own guarantees (read your writes, monotonic reads, ...)"

    def __init__(self, level: str) -> None:
        self._level = level
        self._linearizable = level == LINEARIZABLE

    def generator(self, seed: int) -> Generator:
        return SessionOps(seed)

    def final(self) -> Generator:
        return read_everywhere(KEYS) if self._linearizable else look_and_read(KEYS)

    def encode(self, op: Op) -> Body:
        assert op.key is not None
        match op.f:
            case "read":
                return Get(op.key, self._level)
            case "write":
                return Put(op.key, value_to_bytes(op.value), self._level)
            case "copies":
                return Inspect(op.key)
        raise ValueError(f"{self.name} has read, write and copies, not {op.f!r}")

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, Found):
            return replace(op, type="ok", value=value_of(response.value))
        if isinstance(response, FoundCopies):
            copies = {node: _shown(copy) for node, copy in sorted(response.copies.items())}
            return replace(op, type="ok", value=copies)
        return replace(op, type="ok")

    def changes_nothing(self, op: Op) -> bool:
        return op.f in ("read", COPIES)

    def checkers(self) -> list[Checker]:
        agree: list[Checker] = [] if self._linearizable else [CopiesAgree()]
        return [Sessions(), *agree]

    def stream(self) -> Stream | None:
        return None


class SessionOps(Struct, frozen=True):
    """Endless: two in three are reads."""

    seed: int
    count: int = 0

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        draw = mix64(self.seed, self.count)
        unique = self.count + 1
        f, value = ("write", unique) if (draw >> 40) % 3 == 0 else ("read", None)
        process = ctx.processes[ctx.free[0]]
        op = Op(time=ctx.time, process=process, f=f, key=KEYS[draw % len(KEYS)], value=value)
        return op, replace(self, count=unique)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


def _shown(copy: ReadResponse) -> int | str | None:
    return value_of(copy.value) if isinstance(copy, Found) else repr(copy)
