"""The kv workload: reads, writes and deletes (writes of None) on a few keys, and at the end a look at every
copy of each.

At level `linearizable` it is judged like a register with deletes. At all others it asks what eventual
consistency promises: that the copies become equal, and, where quorums overlap and clocks are not bent, that
nothing acknowledged is lost.
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from checkers.convergence import COPIES, Convergence, equal
from checkers.history import Op
from checkers.linear import Linearizable, Stream
from checkers.models import CasRegister
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator, Pending
from store.core.data.levels import parse_level
from store.core.messages import (
    Body,
    Delete,
    Found,
    FoundCopies,
    Get,
    Inspect,
    Put,
    ReadResponse,
    Response,
)
from workloads.register import value_of, value_to_bytes

KEYS: Final = 20
PATIENCE_S: Final = 60
"""How long after the healing the copies may take to become equal."""
PAUSE_NS: Final = 500_000_000


class Kv:
    """`clocks_are_right`: no fault bends them, so the last write is the one that came last."""

    name = "kv"
    summary = "read, write and delete; judged by convergence, and by what was acknowledged and is lost"

    def __init__(self, level: str, replication: int, clocks_are_right: bool, analysis_limit_s: float) -> None:
        parsed = parse_level(level, replication)
        self._level = level
        self._linearizable = parsed.linearizable
        self._strict = parsed.reads + parsed.writes > replication and "sloppy" not in level
        self._clocks_are_right = clocks_are_right
        self._analysis_limit_s = analysis_limit_s

    def generator(self, seed: int) -> Generator:
        return KvOps(seed)

    def final(self) -> Generator | None:
        return None if self._linearizable else Look(tuple([f"k{number}" for number in range(KEYS)]))

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
        raise ValueError(f"kv has read, write and copies, not {op.f!r}")

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, Found):
            return replace(op, type="ok", value=value_of(response.value))
        if isinstance(response, FoundCopies):
            return replace(
                op, type="ok", value={node: _shown(copy) for node, copy in sorted(response.copies.items())}
            )
        return replace(op, type="ok")

    def changes_nothing(self, op: Op) -> bool:
        return op.f in ("read", COPIES)

    def checkers(self) -> list[Checker]:
        if self._linearizable:
            return [Linearizable(CasRegister(), failed_cas="mismatch", seconds=self._analysis_limit_s)]
        return [Convergence(self._strict and self._clocks_are_right)]

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


def _shown(copy: ReadResponse) -> Any:
    return value_of(copy.value) if isinstance(copy, Found) else repr(copy)
