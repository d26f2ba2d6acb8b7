"""Generators: pure values that say which operation comes next (after jepsen.generator).

`op(ctx)` gives an operation and the generator that remains, or a `Pending` (nothing for now), or None
(exhausted, and for ever). `update(ctx, event)` tells of every invocation and completion by a thread in the
generator's scope, after it was journaled. Nothing here has a clock, a cluster or hidden state: asking the
same value twice in the same context gives the same answer, so an answer may be thrown away.

An operation is an `Op` of type "invoke", for a process whose thread is free. Its `time` is when it is due:
`ctx.time`, or later; until then it may be asked for again, and something else may come first.

A nemesis operation is journaled with type "info" at both ends, and may be emitted with that type, too; but
`update` sees its invocation with type "invoke", so that invocation and completion can be told apart.

The combinators are in `harness/generators/`.
"""

from __future__ import annotations

from typing import Final, Protocol

from msgspec import Struct

from checkers.history import Op
from harness.context import Context


class GeneratorError(Exception):
    """A generator broke its contract: one sentence that names the operation or the threads concerned."""


class Pending(Struct, frozen=True):
    """Nothing for now: ask again after the next event, and at the time `until` if nothing has happened.

    `generator` is what remains of the one that was asked, where being asked made a difference (a `sleep`
    begins); it must then take its place. None: it is as it was.
    """

    until: int | None = None
    generator: Generator | None = None


PENDING: Final = Pending()

Answer = tuple[Op, "Generator | None"] | Pending | None


class Generator(Protocol):
    def op(self, ctx: Context) -> Answer: ...

    def update(self, ctx: Context, event: Op) -> Generator: ...


Source = Generator | Op
"""What the combinators accept: a generator, or an operation (emitted once)."""


def fill(op: Op, ctx: Context) -> Op | Pending:
    """`op` with a time (not before now) and, if it has none, the process of the free thread in scope that
    has waited longest; pending while there is no such thread, or its own is busy."""
    time = op.time if op.time > ctx.time else ctx.time
    process = op.process
    if process == -1:
        if not ctx.free:
            return PENDING
        process = ctx.processes[ctx.free[0]]
    else:
        thread = ctx.thread_of(process)
        if thread not in ctx.threads:
            raise GeneratorError(
                f"the operation {op.f!r} is for process {process!r}, which is none of this generator's; its "
                f"threads are {', '.join(map(str, ctx.threads))}"
            )
        if thread not in ctx.free:
            return PENDING
    return Op(op.index, time, process, op.type, op.f, op.key, op.value, op.error)
