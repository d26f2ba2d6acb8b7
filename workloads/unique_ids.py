"""The unique-ids workload: clients draw identifiers from counters in the store: look, and count one further.
At the end every client draws once more.

Only level `linearizable` has a cas. At the others two clients that look at once draw the same.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from checkers.history import Op
from checkers.linear import Stream
from checkers.unique_ids import UniqueIds
from checkers.verdict import Checker
from harness.context import Context
from harness.draw import mix64
from harness.generator import PENDING, Answer, Generator
from harness.generators import each_thread, sequence, time_limit, until_ok
from store.core.messages import Body, Found, Get, Response
from workloads.change import Looked, changed, looked
from workloads.final import PATIENCE_S, tries
from workloads.values import whole

SERIES: Final = tuple([f"ids{number}" for number in range(1, 6)])
"""Several, so that not every client gets in every other's way."""


class UniqueIdsWork:
    name = "unique-ids"
    summary = "draw identifiers from counters, by cas or (weaker levels) blindly; each may be given out once"

    def __init__(self, level: str) -> None:
        self._level = level

    def generator(self, seed: int) -> Generator:
        return GenerateOps(seed)

    def final(self) -> Generator:
        once_more = [until_ok(tries(Op(f="generate", key=key))) for key in SERIES]
        return time_limit(PATIENCE_S, each_thread(sequence(*once_more)))

    def encode(self, op: Op) -> Body:
        assert op.key is not None
        if op.f != "generate":
            raise ValueError(f"{self.name} has generate, not {op.f!r}")
        if isinstance(op.value, Looked):
            return changed(op.key, op.value.held, b"%d" % _next(op.value), self._level)
        return Get(op.key, self._level)

    def decode(self, op: Op, response: Response) -> Op:
        if isinstance(response, Found):
            return looked(op, response.value)
        assert isinstance(op.value, Looked)
        return replace(op, type="ok", value=f"{op.key}-{_next(op.value)}")

    def changes_nothing(self, op: Op) -> bool:
        return False

    def checkers(self) -> list[Checker]:
        return [UniqueIds()]

    def stream(self) -> Stream | None:
        return None


class GenerateOps(Struct, frozen=True):
    """Endless."""

    seed: int
    count: int = 0

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        key = SERIES[mix64(self.seed, self.count) % len(SERIES)]
        op = Op(time=ctx.time, process=ctx.processes[ctx.free[0]], f="generate", key=key)
        return op, replace(self, count=self.count + 1)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


def _next(seen: Looked) -> int:
    return whole(seen.held or b"0") + 1
