"""The queue workload: clients put values into a few queues and take them out, first in, first out; at the end
the queues are emptied. The store has no queues, so each is the list of what is in it, in one register: both
operations look and then change it.

At level linearizable that is a cas, and the queue keeps its promises. At the others the change is blind, and
values are lost and taken twice.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from checkers.history import Op
from checkers.linear import Linearizable, Stream
from checkers.models import FifoQueue
from checkers.queues import TotalQueue
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from harness.generators import sequence, time_limit
from store.core.messages import Body, Found, Get, Response
from workloads.change import Looked, changed, joined, looked, numbers
from workloads.final import PATIENCE_S, TRIES

QUEUES: Final = tuple([f"q{number}" for number in range(1, 11)])


class QueueWork:
    """`analysis_limit_s` bounds the check of the order."""

    name = "queue"
    summary = "enqueue and dequeue (by cas, or at weaker levels blindly); lost, duplicated, out of order"

    def __init__(self, level: str, analysis_limit_s: float) -> None:
        self._level = level
        self._analysis_limit_s = analysis_limit_s

    def generator(self, seed: int) -> Generator:
        return QueueOps(seed)

    def final(self) -> Generator:
        return time_limit(PATIENCE_S, sequence(*[Drain(key) for key in QUEUES]))

    def encode(self, op: Op) -> Body:
        assert op.key is not None
        if op.f not in ("enqueue", "dequeue"):
            raise ValueError(f"{self.name} has enqueue and dequeue, not {op.f!r}")
        if not isinstance(op.value, Looked):
            return Get(op.key, self._level)
        asked, held = op.value.asked, op.value.held
        items = numbers(held)
        new = items[1:] if op.f == "dequeue" else [*items, asked]
        return changed(op.key, held, joined(new), self._level)

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, Found):
            if op.f == "dequeue" and not response.value:
                return replace(op, type="ok", value=None)
            return looked(op, response.value)
        assert isinstance(op.value, Looked)
        value = numbers(op.value.held)[0] if op.f == "dequeue" else op.value.asked
        return replace(op, type="ok", value=value)

    def changes_nothing(self, op: Op) -> bool:
        return False

    def checkers(self) -> list[Checker]:
        return [TotalQueue(), Linearizable(FifoQueue(), seconds=self._analysis_limit_s)]

    def stream(self) -> Stream:
        return Stream(FifoQueue())


class QueueOps(Struct, frozen=True):
    """Endless: half put something in, and every value is new."""

    seed: int
    count: int = 0

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        draw = mix64(self.seed, self.count)
        unique = self.count + 1
        f, value = ("enqueue", unique) if draw >> 63 else ("dequeue", None)
        process = ctx.processes[ctx.free[0]]
        op = Op(time=ctx.time, process=process, f=f, key=QUEUES[draw % len(QUEUES)], value=value)
        return op, replace(self, count=unique)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


class Drain(Struct, frozen=True):
    """Takes from `key`, one after the other, until it is empty, or `failures` in a row are too many."""

    key: str
    empty: bool = False
    failures: int = 0
    process: int | str | None = None
    """Who takes now."""

    def op(self, ctx: Context) -> Answer:
        if self.empty or self.failures >= TRIES:
            return None
        if not ctx.free or self.process is not None:
            return PENDING
        process = ctx.processes[ctx.free[0]]
        op = Op(time=ctx.time, process=process, f="dequeue", key=self.key)
        return op, replace(self, process=process)

    def update(self, ctx: Context, event: Op) -> Generator:
        if event.process != self.process or event.type == "invoke":
            return self
        if event.type != "ok":
            return replace(self, process=None, failures=self.failures + 1)
        return replace(self, process=None, failures=0, empty=event.value is None)
