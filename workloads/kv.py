"""The kv workload: reads, writes and deletes (writes of None) on a few keys; at the end everything is read
from every node.

At level `linearizable` it is judged like a register with deletes. At all others it asks what eventual
consistency promises: that the copies become equal, and reads with them; and, where quorums overlap and clocks
are not bent, that nothing acknowledged is lost, and that no read is older than what had been acknowledged.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from checkers.convergence import Convergence
from checkers.history import Op
from checkers.last_reads import by_writes
from checkers.linear import Linearizable, Stream
from checkers.models import CasRegister
from checkers.staleness import Staleness
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from store.core.data.levels import parse_level
from workloads.final import last_reads, look_and_read, read_everywhere
from workloads.values import Values

KEYS: Final = 20


class Kv(Values):
    """`clocks_are_right`: no fault bends them, so the last write is the one that came last.
    `keeps_acknowledged`: no fault destroys what one copy alone may have."""

    name = "kv"
    summary = "read, write and delete; judged by convergence, by stale reads, and by what is lost"

    def __init__(
        self,
        level: str,
        replication: int,
        clocks_are_right: bool,
        analysis_limit_s: float,
        keeps_acknowledged: bool = True,
    ) -> None:
        super().__init__(level)
        parsed = parse_level(level, replication)
        self._linearizable = parsed.linearizable
        overlap = parsed.reads + parsed.writes > replication and not parsed.sloppy
        self._strict = overlap and clocks_are_right and keeps_acknowledged
        self._analysis_limit_s = analysis_limit_s

    def generator(self, seed: int) -> Generator:
        return KvOps(seed)

    def final(self) -> Generator | None:
        keys = [f"k{number}" for number in range(KEYS)]
        return read_everywhere(keys) if self._linearizable else look_and_read(keys)

    def checkers(self) -> list[Checker]:
        last = last_reads(self._level, by_writes)
        if self._linearizable:
            return [Linearizable(CasRegister(), failed_cas="mismatch", seconds=self._analysis_limit_s), last]
        return [Convergence(self._strict), Staleness(fresh=self._strict), last]

    def stream(self) -> Stream | None:
        return Stream(CasRegister(), failed_cas="mismatch") if self._linearizable else None


class KvOps(Struct, frozen=True):
    """Endless operations, as many as asked for: half are reads, and one in eight changes is a delete."""

    seed: int
    count: int = 0

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        draw = mix64(self.seed, self.count)
        unique = self.count + 1
        f = "write" if draw >> 63 else "read"
        value = None if f == "read" or (draw >> 40) % 8 == 0 else unique
        process = ctx.processes[ctx.free[0]]
        op = Op(time=ctx.time, process=process, f=f, key=f"k{draw % KEYS}", value=value)
        return op, KvOps(self.seed, unique)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self
