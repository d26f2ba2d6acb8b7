"""Generators: pure values that say which operation comes next (after jepsen.generator).

`op(ctx)` gives an operation and the generator that remains, or `PENDING` (nothing for now: ask again after
the next event), or None (exhausted). An operation with a `time` in the future is due then; until it is
handed out, it may be asked for again. `update(ctx, event)` tells of every invocation and completion.
Nothing here has a clock, a cluster or hidden state: asking twice gives the same answer.
"""

from __future__ import annotations

from typing import Final, Protocol

from checkers.history import Op
from harness.context import Context


class Pending:
    """The type of `PENDING`."""


PENDING: Final = Pending()

Answer = tuple[Op, "Generator | None"] | Pending | None


class Generator(Protocol):
    def op(self, ctx: Context) -> Answer: ...

    def update(self, ctx: Context, event: Op) -> Generator: ...
