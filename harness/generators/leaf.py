"""Where operations come from: one that is written down, or a function of their number."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from checkers.history import Op
from harness.context import Context
from harness.generator import PENDING, Answer, Generator, Pending, Source, fill


class Literal(Struct, frozen=True):
    """One operation, once."""

    operation: Op

    def op(self, ctx: Context) -> Answer:
        filled = fill(self.operation, ctx)
        return filled if isinstance(filled, Pending) else (filled, None)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


class Numbered(Struct, frozen=True):
    make: Callable[[int], Op | None]
    position: int

    def op(self, ctx: Context) -> Answer:
        if not ctx.free:
            return PENDING
        made = self.make(self.position)
        if made is None:
            return None
        filled = fill(made, ctx)
        return filled if isinstance(filled, Pending) else (filled, Numbered(self.make, self.position + 1))

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


def numbered(make: Callable[[int], Op | None]) -> Generator:
    """`make(0)`, `make(1)`, ... until it gives None. `make` must be pure: draw with `harness.draw`."""
    return Numbered(make, 0)


def as_generator(source: Source) -> Generator:
    return Literal(source) if isinstance(source, Op) else source
