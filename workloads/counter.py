"""The counter workload: clients add to a few counters, mostly upwards, and read them; at the end all is
read from every node. A convergent counter (`counter/...`), or at level linearizable a register that is
changed by cas.

Where quorums overlap every read must be possible by what was acknowledged before it. Elsewhere only the last
values are held to that, when the copies have become equal; what was read before is told.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from checkers.agreement import CopiesAgree
from checkers.convergence import COPIES
from checkers.counters import CounterBounds
from checkers.history import Op
from checkers.linear import Stream
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from store.core.messages import (
    Body,
    Found,
    FoundCopies,
    FoundCount,
    Get,
    Increment,
    Inspect,
    ReadResponse,
    Response,
)
from workloads.change import LINEARIZABLE, Looked, changed, looked
from workloads.final import look_and_read, read_everywhere

COUNTERS: Final = 5
DOWN_ONE_IN: Final = 4
MOST: Final = 5


class CounterWork:
    """`every_read` and `keeps_acknowledged`: as `CounterBounds` has them."""

    name = "counter"
    summary = "add to counters, up and down, and read them; every value must be one that can be"

    def __init__(self, level: str, every_read: bool, keeps_acknowledged: bool = True) -> None:
        self._level = level
        self._every_read = every_read
        self._keeps_acknowledged = keeps_acknowledged
        self._cas = level == LINEARIZABLE
        prefix = "" if self._cas else "counter/"
        self._keys = tuple([f"{prefix}c{number}" for number in range(1, COUNTERS + 1)])

    def generator(self, seed: int) -> Generator:
        return CounterOps(self._keys, seed)

    def final(self) -> Generator:
        return read_everywhere(self._keys) if self._cas else look_and_read(self._keys)

    def encode(self, op: Op) -> Body:
        assert op.key is not None
        match op.f:
            case "read":
                return Get(op.key, self._level)
            case "add" if isinstance(op.value, Looked):
                total = int(op.value.held or b"0") + op.value.asked
                return changed(op.key, op.value.held, b"%d" % total, self._level)
            case "add":
                return Get(op.key, self._level) if self._cas else Increment(op.key, op.value, self._level)
            case "copies":
                return Inspect(op.key)
        raise ValueError(f"{self.name} has add, read and copies, not {op.f!r}")

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, FoundCopies):
            copies = {node: _count(copy) for node, copy in sorted(response.copies.items())}
            return replace(op, type="ok", value=copies)
        if op.f == "read":
            assert isinstance(response, Found | FoundCount)
            return replace(op, type="ok", value=_count(response))
        if isinstance(response, Found):
            return looked(op, response.value)
        amount = op.value.asked if isinstance(op.value, Looked) else op.value
        return replace(op, type="ok", value=amount)

    def changes_nothing(self, op: Op) -> bool:
        return op.f in ("read", COPIES)

    def checkers(self) -> list[Checker]:
        agree: list[Checker] = [] if self._cas else [CopiesAgree()]
        return [CounterBounds(self._every_read, self._keeps_acknowledged), *agree]

    def stream(self) -> Stream | None:
        return None


class CounterOps(Struct, frozen=True):
    """Endless: half are reads; an addition is of 1 to `MOST`, and one in four of them is taken away."""

    keys: tuple[str, ...]
    seed: int
    count: int = 0

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        draw = mix64(self.seed, self.count)
        key = self.keys[draw % len(self.keys)]
        process = ctx.processes[ctx.free[0]]
        amount = 1 + (draw >> 32) % MOST
        if (draw >> 48) % DOWN_ONE_IN == 0:
            amount = -amount
        f, value = ("add", amount) if draw >> 63 else ("read", None)
        op = Op(time=ctx.time, process=process, f=f, key=key, value=value)
        return op, replace(self, count=self.count + 1)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


def _count(response: ReadResponse) -> int | str:
    """In words, what cannot be told."""
    match response:
        case FoundCount(_, count):
            return count
        case Found(_, None):
            return 0
        case Found(_, value):
            return int(value or b"0")
    return repr(response)
