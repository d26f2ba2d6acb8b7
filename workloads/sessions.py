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
from checkers.history import Op
from checkers.last_reads import by_writes
from checkers.linear import Stream
from checkers.sessions import Sessions
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from workloads.change import LINEARIZABLE
from workloads.final import last_reads, look_and_read, read_everywhere
from workloads.values import Values

KEYS: Final = tuple([f"k{number}" for number in range(1, 11)])


class SessionsWork(Values):
    name = "sessions"
    summary = "read and write; each client's own guarantees (read your writes, monotonic reads, ...)"

    def __init__(self, level: str) -> None:
        super().__init__(level)
        self._linearizable = level == LINEARIZABLE

    def generator(self, seed: int) -> Generator:
        return SessionOps(seed)

    def final(self) -> Generator:
        return read_everywhere(KEYS) if self._linearizable else look_and_read(KEYS)

    def checkers(self) -> list[Checker]:
        agree: list[Checker] = [] if self._linearizable else [CopiesAgree()]
        return [Sessions(), *agree, last_reads(self._level, by_writes)]

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
