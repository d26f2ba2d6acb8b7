"""Which of several generators speaks next."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from checkers.history import Op
from harness.context import Context
from harness.draw import uniform_int
from harness.generator import Answer, Generator, Pending, Source
from harness.generators.leaf import as_generator
from harness.generators.soonest import Changes, earlier, settle, soonest

Children = tuple[Generator | None, ...]
"""None where one is exhausted, so that the others keep their places."""


class AnyOf(Struct, frozen=True):
    children: Children
    first: int = 0
    """The child that goes first when several are due: the one after the last that spoke."""

    def op(self, ctx: Context) -> Answer:
        return soonest(ctx, self._in_turn(ctx), self._rebuilt)

    def update(self, ctx: Context, event: Op) -> Generator:
        children = _updated(self.children, ctx, event)
        return self if children is self.children else AnyOf(children, self.first)

    def _in_turn(self, ctx: Context) -> Iterator[tuple[int, Generator, Context]]:
        children, first = self.children, self.first
        for key in (*range(first, len(children)), *range(first)):
            child = children[key]
            if child is not None:
                yield key, child, ctx

    def _rebuilt(self, changes: Changes[int], spoke: int | None) -> Generator | None:
        children = _changed(self.children, changes)
        if children is None:
            return None
        return AnyOf(children, self.first if spoke is None else (spoke + 1) % len(children))


class Mix(Struct, frozen=True):
    children: Children
    seed: int
    position: int = 0

    def op(self, ctx: Context) -> Answer:
        candidates = [key for key, child in enumerate(self.children) if child is not None]
        changes: Changes[int] = {}
        until: int | None = None
        while candidates:
            # A stream for each number of candidates, so that a second draw does not depend on the first.
            left = len(candidates)
            key = candidates.pop(uniform_int(self.seed ^ left, left, self.position))
            child = self.children[key]
            answer = None if child is None else child.op(ctx)
            if answer is None:
                changes[key] = None
            elif isinstance(answer, Pending):
                if answer.generator is not None:
                    changes[key] = answer.generator
                until = earlier(until, answer.until)
            else:
                return settle(ctx, (key, *answer), until, changes, self._rebuilt)
        return settle(ctx, None, until, changes, self._rebuilt)

    def update(self, ctx: Context, event: Op) -> Generator:
        children = _updated(self.children, ctx, event)
        return self if children is self.children else Mix(children, self.seed, self.position)

    def _rebuilt(self, changes: Changes[int], spoke: int | None) -> Generator | None:
        children = _changed(self.children, changes)
        if children is None:
            return None
        return Mix(children, self.seed, self.position if spoke is None else self.position + 1)


def any_of(*sources: Source) -> Generator:
    """The operation that is due first, from any of them; where several are due they take turns."""
    return AnyOf(tuple(as_generator(source) for source in sources))


def mix(*sources: Source, seed: int) -> Generator:
    """A random one of them each time, each as likely as the others. One that is pending or exhausted is
    passed over (Jepsen's would wait for it); one whose operation is due later is waited for."""
    return Mix(tuple(as_generator(source) for source in sources), seed)


def _updated(children: Children, ctx: Context, event: Op) -> Children:
    """The same tuple where no child changed."""
    changes: Changes[int] = {}
    for key, child in enumerate(children):
        if child is not None:
            updated = child.update(ctx, event)
            if updated is not child:
                changes[key] = updated
    return _changed(children, changes) or children if changes else children


def _changed(children: Children, changes: Changes[int]) -> Children | None:
    """None where all are exhausted."""
    changed = list(children)
    for key, child in changes.items():
        changed[key] = child
    if (not children or None in changes.values()) and all(child is None for child in changed):
        return None
    return tuple(changed)
