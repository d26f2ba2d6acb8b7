"""When operations come: their rate, and for how long. All other combinators only pass times on."""

from __future__ import annotations

from math import isfinite

from msgspec import Struct
from msgspec.structs import replace

from checkers.history import Op
from harness.context import Context
from harness.draw import uniform_int
from harness.generator import PENDING, Answer, Generator, Pending, Source
from harness.generators.leaf import as_generator
from harness.generators.soonest import earlier
from harness.generators.wrapper import Wrapper


class Stagger(Wrapper, frozen=True):
    interval: int
    seed: int
    position: int = 0
    due: int | None = None

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        due = op.time if self.due is None else self.due
        longest = 2 * self.interval
        # A slot that was missed by a little still counts, or late polls would lower the rate; one that was
        # missed because no thread was free is gone, or its operations would come in a burst.
        base = due if op.time - due <= longest else op.time
        if op.time < due:
            op = replace(op, time=due)
        if rest is None:
            return op, None
        wait = uniform_int(self.seed, longest + 1, self.position)
        return op, Stagger(rest, self.interval, self.seed, self.position + 1, base + wait)


class Delay(Wrapper, frozen=True):
    interval: int
    due: int = 0

    def emit(self, ctx: Context, op: Op, rest: Generator | None) -> Answer:
        if op.time < self.due:
            op = replace(op, time=self.due)
        return op, None if rest is None else Delay(rest, self.interval, op.time + self.interval)


class Sleep(Struct, frozen=True):
    duration: int
    end: int | None = None

    def op(self, ctx: Context) -> Answer:
        if self.end is None:
            if not ctx.free:
                return PENDING
            begun = Sleep(self.duration, ctx.time + self.duration)
            return Pending(begun.end, begun)
        return None if ctx.time >= self.end else Pending(self.end)

    def update(self, ctx: Context, event: Op) -> Generator:
        return self


class TimeLimit(Wrapper, frozen=True):
    duration: int
    end: int | None = None

    def op(self, ctx: Context) -> Answer:
        if self.end is None:
            begun = replace(self, end=ctx.time + self.duration)
            answer = begun.op(ctx)
            if isinstance(answer, Pending):
                return Pending(answer.until, answer.generator or begun)
            if answer is not None and answer[0].time > ctx.time:
                # An answer that is not for now may be forgotten; that our time runs must not be.
                return Pending(answer[0].time, begun)
            return answer
        if ctx.time >= self.end:
            return None
        answer = self.child.op(ctx)
        if answer is None:
            return None
        if isinstance(answer, Pending):
            rest = answer.generator
            return Pending(earlier(answer.until, self.end), None if rest is None else self.around(rest))
        op, rest = answer
        if op.time >= self.end:
            return Pending(self.end)
        return op, None if rest is None else TimeLimit(rest, self.duration, self.end)


def stagger(interval_s: float, source: Source, seed: int) -> Generator:
    """Operations `interval_s` apart on average, over all threads: each wait is uniform in 0 .. 2 interval_s.
    The first comes at once."""
    return Stagger(as_generator(source), _ns("stagger", interval_s), seed)


def delay(interval_s: float, source: Source) -> Generator:
    """Operations at least `interval_s` apart, over all threads. The first comes at once."""
    return Delay(as_generator(source), _ns("delay", interval_s))


def sleep(duration_s: float) -> Generator:
    """No operation, for `duration_s` from when a thread in its scope is first free. In a sequence it holds
    back what follows (Jepsen's holds back one thread)."""
    return Sleep(_ns("sleep", duration_s))


def time_limit(duration_s: float, source: Source) -> Generator:
    """`source` until `duration_s` have passed since this was first asked; then exhausted."""
    return TimeLimit(as_generator(source), _ns("time_limit", duration_s))


def _ns(name: str, seconds: float) -> int:
    if not (isfinite(seconds) and seconds >= 0):
        raise ValueError(f"{name} needs a time in seconds of at least 0, not {seconds!r}")
    return round(seconds * 1_000_000_000)
