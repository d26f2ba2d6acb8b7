"""Changing operations on their way, leaving some out, and reacting to what happens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from msgspec.structs import replace

from checkers.history import Op
from harness.context import Context
from harness.generator import Answer, Generator, GeneratorError, Pending, Source
from harness.generators.leaf import as_generator
from harness.generators.wrapper import Wrapper

REFUSED_MAX: Final = 10_000
"""How many operations in a row a filter may refuse before we say that it refuses all."""


class Mapped(Wrapper, frozen=True):
    change: Callable[[Op], Op]

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        return self.change(op), None if rest is None else self.around(rest)


class Filtered(Wrapper, frozen=True):
    keep: Callable[[Op], bool]

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        for _ in range(REFUSED_MAX):
            if self.keep(op):
                return op, None if rest is None else self.around(rest)
            answer = None if rest is None else rest.op(ctx)
            if rest is None or answer is None:
                return None
            if isinstance(answer, Pending):
                return Pending(answer.until, self.around(answer.generator or rest))
            op, rest = answer
        raise GeneratorError(
            f"filter_ops refused {REFUSED_MAX} operations in a row, the last of them {op.f!r}"
        )


class OnUpdate(Wrapper, frozen=True):
    handler: Callable[[OnUpdate, Context, Op], Generator]

    def update(self, ctx: Context, event: Op) -> Generator:
        this = OnUpdate(self.child.update(ctx, event), self.handler)
        return self.handler(this, ctx, event)


def map_ops(change: Callable[[Op], Op], source: Source) -> Generator:
    """Each operation, changed. Events are passed to `source` as they are."""
    return Mapped(as_generator(source), change)


def f_map(names: Mapping[str, str], source: Source) -> Generator:
    """Each operation with its `f` renamed, where it has a new name."""
    return map_ops(lambda op: replace(op, f=names.get(op.f, op.f)), source)


def filter_ops(keep: Callable[[Op], bool], source: Source) -> Generator:
    """The operations that `keep` accepts; the others are never carried out."""
    return Filtered(as_generator(source), keep)


def on_update(handler: Callable[[OnUpdate, Context, Op], Generator], source: Source) -> Generator:
    """`source`, until `handler(this, ctx, event)` gives something else than `this`, its first argument. That
    is this generator itself, which has already been told of the event; `this.child` is its `source`."""
    return OnUpdate(as_generator(source), handler)
