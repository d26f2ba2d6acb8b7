"""What comes after what, and how often."""

from __future__ import annotations

from msgspec import Struct

from checkers.history import Op
from harness.context import Context
from harness.generator import PENDING, Answer, Generator, Pending, Source
from harness.generators.leaf import as_generator
from harness.generators.wrapper import Wrapper


class Sequence(Struct, frozen=True):
    children: tuple[Generator, ...]

    def op(self, ctx: Context) -> Answer:
        for position, child in enumerate(self.children):
            answer = child.op(ctx)
            if answer is None:
                continue
            if isinstance(answer, Pending) and position == 0 and answer.generator is None:
                return answer
            later = self.children[position + 1 :]
            if isinstance(answer, Pending):
                return Pending(answer.until, Sequence((answer.generator or child, *later)))
            op, rest = answer
            if rest is not None:
                return op, Sequence((rest, *later))
            return op, Sequence(later) if later else None
        return None

    def update(self, ctx: Context, event: Op) -> Generator:
        if not self.children:
            return self
        first = self.children[0].update(ctx, event)
        return self if first is self.children[0] else Sequence((first, *self.children[1:]))


class Synchronize(Wrapper, frozen=True):
    def op(self, ctx: Context) -> Answer:
        if len(ctx.free) < len(ctx.threads):
            return PENDING
        answer = self.child.op(ctx)
        if isinstance(answer, Pending):
            return Pending(answer.until, answer.generator or self.child)
        return answer


class Limit(Wrapper, frozen=True):
    remaining: int

    def op(self, ctx: Context) -> Answer:
        return super().op(ctx) if self.remaining > 0 else None

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        return op, None if rest is None or self.remaining == 1 else Limit(rest, self.remaining - 1)


class Repeat(Wrapper, frozen=True):
    remaining: int | None

    def op(self, ctx: Context) -> Answer:
        return super().op(ctx) if self.remaining is None or self.remaining > 0 else None

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        if self.remaining is None:
            return op, self
        return op, Repeat(self.child, self.remaining - 1) if self.remaining > 1 else None


class Cycle(Struct, frozen=True):
    fresh: Generator
    current: Generator
    remaining: int | None
    """Rounds that are left, this one included."""

    def op(self, ctx: Context) -> Answer:
        if self.remaining == 0:
            return None
        answer, round_ = self.current.op(ctx), self
        if answer is None and self.remaining != 1:
            round_ = self._next_round()
            answer = self.fresh.op(ctx)
        if answer is None:
            return None  # also where a whole round is empty: otherwise we would turn for ever
        if isinstance(answer, Pending):
            if answer.generator is None and round_ is self:
                return answer
            return Pending(answer.until, round_._at(answer.generator or round_.current))
        op, rest = answer
        if rest is not None:
            return op, round_._at(rest)
        return op, None if round_.remaining == 1 else round_._next_round()

    def update(self, ctx: Context, event: Op) -> Generator:
        current = self.current.update(ctx, event)
        return self if current is self.current else self._at(current)

    def _at(self, current: Generator) -> Cycle:
        return Cycle(self.fresh, current, self.remaining)

    def _next_round(self) -> Cycle:
        return Cycle(self.fresh, self.fresh, None if self.remaining is None else self.remaining - 1)


class FlipFlop(Struct, frozen=True):
    current: Generator
    other: Generator | None

    def op(self, ctx: Context) -> Answer:
        answer = self.current.op(ctx)
        if answer is None:
            return None
        if isinstance(answer, Pending):
            if answer.generator is None:
                return answer
            return Pending(answer.until, FlipFlop(answer.generator, self.other))
        op, rest = answer
        return op, None if self.other is None else FlipFlop(self.other, rest)

    def update(self, ctx: Context, event: Op) -> Generator:
        current = self.current.update(ctx, event)
        other = None if self.other is None else self.other.update(ctx, event)
        return self if current is self.current and other is self.other else FlipFlop(current, other)


class UntilOk(Wrapper, frozen=True):
    asked: frozenset[int | str] = frozenset()
    """Processes that carry out an operation of ours."""
    done: bool = False

    def op(self, ctx: Context) -> Answer:
        return None if self.done else super().op(ctx)

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        return op, None if rest is None else UntilOk(rest, self.asked | {op.process})

    def update(self, ctx: Context, event: Op) -> Generator:
        child = self.child.update(ctx, event)
        if event.type == "invoke" or event.process not in self.asked:
            return self if child is self.child else UntilOk(child, self.asked, self.done)
        return UntilOk(child, self.asked - {event.process}, self.done or event.type == "ok")


def sequence(*sources: Source) -> Generator:
    """Each in turn, until it is exhausted; the next may begin while operations of the last still run."""
    return Sequence(tuple(as_generator(source) for source in sources))


def synchronize(source: Source) -> Generator:
    """`source`, beginning at a moment when every thread in its scope is free."""
    return Synchronize(as_generator(source))


def phases(*sources: Source) -> Generator:
    """Each in turn, each beginning when everything before has been completed."""
    return sequence(*(synchronize(source) for source in sources))


def then(first: Source, after: Source) -> Generator:
    """`first`, and when all of it has been completed, `after`. (Jepsen's takes them the other way round.)"""
    return sequence(first, synchronize(after))


def limit(count: int, source: Source) -> Generator:
    """At most `count` operations."""
    return Limit(as_generator(source), _count("limit", count))


def once(source: Source) -> Generator:
    return limit(1, source)


def repeat(source: Source, count: int | None = None) -> Generator:
    """The first operation of `source` over and over, `count` times or endlessly."""
    return Repeat(as_generator(source), None if count is None else _count("repeat", count))


def cycle(source: Source, count: int | None = None) -> Generator:
    """The whole of `source` over and over, `count` times or endlessly."""
    fresh = as_generator(source)
    return Cycle(fresh, fresh, None if count is None else _count("cycle", count))


def flip_flop(first: Source, second: Source) -> Generator:
    """An operation of `first`, one of `second`, and so on, until the one whose turn it is is exhausted."""
    return FlipFlop(as_generator(first), as_generator(second))


def until_ok(source: Source) -> Generator:
    """`source` until one of its operations is completed with `ok` (which a nemesis operation never is)."""
    return UntilOk(as_generator(source))


def _count(name: str, count: int) -> int:
    if count < 0:
        raise ValueError(f"{name} needs a count of at least 0, not {count}")
    return count
