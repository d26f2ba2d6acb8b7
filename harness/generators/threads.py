"""Who carries operations out: generators see only the threads in their scope, and hear only of them."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping

from msgspec import Struct

from checkers.history import Op
from harness.context import Context, Thread
from harness.generator import Answer, Generator, GeneratorError, Pending, Source
from harness.generators.leaf import as_generator
from harness.generators.soonest import Changes, soonest
from harness.generators.wrapper import Wrapper


class Scoped(Wrapper, frozen=True):
    """`scope` narrows a context; `name` is for messages."""

    scope: Callable[[Context], Context]
    name: str

    def op(self, ctx: Context) -> Answer:
        inner = self.scope(ctx)
        if not inner.threads:
            raise GeneratorError(f"{self.name} has no thread in its scope; there are {_listed(ctx)}")
        answer = self.child.op(inner)
        if answer is None:
            return None
        if isinstance(answer, Pending):
            return self.pending(answer)
        op, rest = answer
        return op, None if rest is None else Scoped(rest, self.scope, self.name)

    def update(self, ctx: Context, event: Op) -> Generator:
        inner = self.scope(ctx)
        if ctx.thread_of(event.process) not in inner.threads:
            return self
        child = self.child.update(inner, event)
        return self if child is self.child else self.around(child)


class EachThread(Struct, frozen=True):
    fresh: Generator
    begun: Mapping[Thread, Generator | None] = {}
    """What remains for the threads that have begun; None: exhausted."""

    def op(self, ctx: Context) -> Answer:
        return soonest(ctx, self._waiting(ctx), lambda changes, _: self._rebuilt(ctx, changes))

    def update(self, ctx: Context, event: Op) -> Generator:
        thread = ctx.thread_of(event.process)
        if thread is None or thread not in ctx.threads:
            return self
        child = self.begun.get(thread, self.fresh)
        if child is None:
            return self
        updated = child.update(_alone(ctx, thread), event)
        return self if updated is child else EachThread(self.fresh, {**self.begun, thread: updated})

    def _waiting(self, ctx: Context) -> Iterator[tuple[Thread, Generator, Context]]:
        for thread in ctx.free:
            child = self.begun.get(thread, self.fresh)
            if child is not None:
                yield thread, child, _alone(ctx, thread)

    def _rebuilt(self, ctx: Context, changes: Changes[Thread]) -> Generator | None:
        begun = {**self.begun, **changes}
        over = all(thread in begun and begun[thread] is None for thread in ctx.threads)
        return None if over else EachThread(self.fresh, begun)


class Reserve(Struct, frozen=True):
    bounds: tuple[int, ...]
    """Child i has the threads from bounds[i-1] (or 0) up to, not including, bounds[i]; the last, the rest."""
    children: tuple[Generator | None, ...]

    def op(self, ctx: Context) -> Answer:
        if self.bounds[-1] > len(ctx.threads):
            raise GeneratorError(f"reserve wants {self.bounds[-1]} threads; there are {_listed(ctx)}")
        return soonest(ctx, self._waiting(ctx), self._rebuilt)

    def update(self, ctx: Context, event: Op) -> Generator:
        thread = ctx.thread_of(event.process)
        if thread is None:
            return self
        owner = self._owner(thread)
        child = self.children[owner]
        if child is None:
            return self
        updated = child.update(self._scope(ctx, owner), event)
        return self if updated is child else self._rebuilt({owner: updated}, owner) or self

    def _waiting(self, ctx: Context) -> Iterator[tuple[int, Generator, Context]]:
        """Those with a free thread, the longest-waiting thread's first; then those without."""
        owners = dict.fromkeys([self._owner(thread) for thread in ctx.free])
        owners.update(dict.fromkeys(range(len(self.children))))
        for owner in owners:
            child = self.children[owner]
            if child is not None:
                yield owner, child, self._scope(ctx, owner)

    def _owner(self, thread: Thread) -> int:
        return bisect_right(self.bounds, thread) if isinstance(thread, int) else len(self.bounds)

    def _scope(self, ctx: Context, owner: int) -> Context:
        return ctx.only(lambda thread: self._owner(thread) == owner)

    def _rebuilt(self, changes: Changes[int], _: int | None) -> Generator | None:
        children = tuple([changes.get(key, child) for key, child in enumerate(self.children)])
        return None if all(child is None for child in children) else Reserve(self.bounds, children)


class ProcessLimit(Wrapper, frozen=True):
    count: int
    seen: frozenset[int | str] = frozenset()

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        seen = self.seen.union([ctx.processes[thread] for thread in ctx.threads])
        if len(seen) > self.count:
            return None
        return op, None if rest is None else ProcessLimit(rest, self.count, seen)


def on_threads(keep: Callable[[Thread], bool], source: Source) -> Generator:
    """Only on the threads that `keep` accepts."""
    return Scoped(as_generator(source), lambda ctx: ctx.only(keep), "on_threads")


def clients(source: Source) -> Generator:
    """Only on client threads."""
    return Scoped(as_generator(source), Context.without_nemesis, "clients")


def nemesis(source: Source) -> Generator:
    """Only on the nemesis' thread."""
    return Scoped(as_generator(source), Context.only_nemesis, "nemesis")


def each_thread(source: Source) -> Generator:
    """A copy of `source` for each thread in scope, which knows of that thread alone."""
    return EachThread(as_generator(source))


def reserve(*shares: tuple[int, Source], default: Source) -> Generator:
    """`reserve((5, reads), (3, writes), default=rest)`: threads 0 to 4 read, 5 to 7 write, and all others in
    scope do `rest`. Where several are due, the thread that has waited longest decides."""
    bounds: list[int] = []
    for count, _ in shares:
        if count < 1:
            raise ValueError(f"reserve gives each generator at least 1 thread, not {count}")
        bounds.append(count + (bounds[-1] if bounds else 0))
    if not bounds:
        raise ValueError("reserve needs at least one (threads, generator)")
    sources = (*(source for _, source in shares), default)
    return Reserve(tuple(bounds), tuple(as_generator(source) for source in sources))


def process_limit(count: int, source: Source) -> Generator:
    """`source` for as long as at most `count` different processes have been in its scope."""
    return ProcessLimit(as_generator(source), count)


def _alone(ctx: Context, thread: Thread) -> Context:
    return Context(ctx.time, (thread,), (thread,) if thread in ctx.free else (), ctx.processes)


def _listed(ctx: Context) -> str:
    return ", ".join(map(str, ctx.threads)) or "none"
