"""Last phases: after the healing, wait until the copies are equal, then read everything from every node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from checkers.convergence import COPIES, equal
from checkers.history import Op
from checkers.last_reads import Explains, LastReads
from checkers.models import Value, frozen
from harness.context import Context
from harness.generator import PENDING, Answer, Generator, Pending
from harness.generators import each_thread, numbered, phases, sequence, time_limit, until_ok
from store.core.data.levels import SLOPPY

PATIENCE_S: Final = 60
"""How long after the healing the copies may take to become equal, and how long after that clients try to be
answered."""
PAUSE_NS: Final = 500_000_000
TRIES: Final = 60
"""How often a client asks for what it is not answered."""


def read_everywhere(keys: Sequence[str]) -> Generator:
    """Every client reads every key, through its own node."""
    return time_limit(
        PATIENCE_S, each_thread(sequence(*[until_ok(tries(Op(f="read", key=key))) for key in keys]))
    )


def look_and_read(keys: Sequence[str]) -> Generator:
    """`read_everywhere` when the copies are equal, or patience is at its end."""
    return phases(Look(tuple(keys)), read_everywhere(keys))


def last_reads(level: str, explains: Explains, of: Callable[[Any], Value] = frozen) -> LastReads:
    """At a sloppy level a stand-in may still answer, or have what replicas were not given yet; so what is
    read there is not compared."""
    return LastReads(not level.endswith(SLOPPY), explains, of)


def tries(op: Op) -> Generator:
    return numbered(lambda number: op if number < TRIES else None)


class Look(Struct, frozen=True):
    """Looks at the copies of all `keys`, round after round with a pause between, until in one round all
    are seen and equal, or patience is at its end."""

    keys: tuple[str, ...]
    at: int = 0
    due_ns: int = 0
    end_ns: int = 0
    different: bool = False

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        if self.end_ns == 0:
            return replace(self, end_ns=ctx.time + PATIENCE_S * 1_000_000_000).op(ctx)
        if self.at == len(self.keys):
            if len(ctx.free) < len(ctx.threads):
                return PENDING  # what was asked last may still show a difference
            if not self.different or ctx.time >= self.end_ns:
                return None
            return replace(self, at=0, due_ns=ctx.time + PAUSE_NS, different=False).op(ctx)
        if ctx.time < self.due_ns:
            return Pending(self.due_ns, self)
        op = Op(time=ctx.time, process=ctx.processes[ctx.free[0]], f=COPIES, key=self.keys[self.at])
        return op, replace(self, at=self.at + 1)

    def update(self, ctx: Context, event: Op) -> Generator:
        if event.f != COPIES or event.type == "invoke":
            return self
        settled = event.type == "ok" and equal(event.value)
        return self if settled or self.different else replace(self, different=True)
