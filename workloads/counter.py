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
from checkers.counters import CounterBounds
from checkers.history import Op
from checkers.last_reads import by_sums
from checkers.linear import Stream
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from store.core.messages import Body, Found, FoundCount, Increment, ReadResponse
from workloads.change import LINEARIZABLE, Adding
from workloads.final import last_reads, look_and_read, read_everywhere
from workloads.values import whole

COUNTERS: Final = 5
DOWN_ONE_IN: Final = 4
MOST: Final = 5


class CounterWork(Adding):
    """`every_read` and `keeps_acknowledged`: as `CounterBounds` has them."""

    name = "counter"
    summary = "add to counters, up and down, and read them; every value must be one that can be"

    def __init__(self, level: str, every_read: bool, keeps_acknowledged: bool = True) -> None:
        super().__init__(level, looks=level == LINEARIZABLE)
        self._every_read = every_read
        self._keeps_acknowledged = keeps_acknowledged
        prefix = "" if self._looks else "counter/"
        self._keys = tuple([f"{prefix}c{number}" for number in range(1, COUNTERS + 1)])

    def generator(self, seed: int) -> Generator:
        return CounterOps(self._keys, seed)

    def final(self) -> Generator:
        return read_everywhere(self._keys) if self._looks else look_and_read(self._keys)

    def added(self, held: bytes | None, asked: int) -> bytes:
        return b"%d" % (whole(held or b"0") + asked)

    def edit(self, key: str, asked: int) -> Body:
        return Increment(key, asked, self._level)

    def shown(self, response: ReadResponse) -> int | str:
        match response:
            case FoundCount(_, count):
                return count
            case Found(_, None):
                return 0
            case Found(_, value):
                return whole(value or b"0")
        return repr(response)

    def checkers(self) -> list[Checker]:
        agree: list[Checker] = [] if self._looks else [CopiesAgree()]
        bounds = CounterBounds(self._every_read, self._keeps_acknowledged)
        return [bounds, *agree, last_reads(self._level, by_sums)]

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
