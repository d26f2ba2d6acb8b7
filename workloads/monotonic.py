"""The monotonic workload: counters that only grow are incremented and read, and nobody may see one go back:
by cas at level linearizable, else convergent counters.

Only `linearizable` promises that. Elsewhere a read may meet an increment that others do not see yet.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from checkers.history import Op
from checkers.last_reads import by_sums
from checkers.monotonic import Monotonic
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from store.core.messages import Body, Done, Response
from workloads.change import Looked
from workloads.counter import CounterWork
from workloads.final import last_reads
from workloads.values import whole


class MonotonicWork(CounterWork):
    """Increments are additions of 1; those by cas are answered with the number after them."""

    name = "monotonic"
    summary = "increment counters and read them; nobody may see one go back"

    def __init__(self, level: str) -> None:
        super().__init__(level, every_read=True)

    def generator(self, seed: int) -> Generator:
        return IncrementOps(self._keys, seed)

    def encode(self, op: Op) -> Body:
        return super().encode(_as_add(op))

    def decode(self, op: Op, response: Response) -> Op:
        if op.f == "increment" and isinstance(response, Done):
            after = whole(op.value.held or b"0") + 1 if isinstance(op.value, Looked) else None
            return replace(op, type="ok", value=after)
        return replace(super().decode(_as_add(op), response), f=op.f)

    def checkers(self) -> list[Checker]:
        return [Monotonic(), last_reads(self._level, by_sums)]


class IncrementOps(Struct, frozen=True):
    """Endless: half are reads."""

    keys: tuple[str, ...]
    seed: int
    count: int = 0

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        draw = mix64(self.seed, self.count)
        f = "increment" if draw >> 63 else "read"
        process = ctx.processes[ctx.free[0]]
        op = Op(time=ctx.time, process=process, f=f, key=self.keys[draw % len(self.keys)])
        return op, replace(self, count=self.count + 1)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


def _as_add(op: Op) -> Op:
    if op.f != "increment":
        return op
    return replace(op, f="add", value=1 if op.value is None else op.value)
