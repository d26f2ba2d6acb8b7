"""Runs a generator with no clock and no cluster (after jepsen.generator.test): the real scheduler, and
completions that come when and as the test says."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush

from msgspec.structs import replace

from checkers.history import NEMESIS, Op, Type
from harness.context import Context, Thread
from harness.generator import Generator, Source
from harness.generators import numbered
from harness.generators.leaf import as_generator
from harness.scheduler import Dispatch, Finished, Scheduler, Wait

S = 1_000_000_000

Fate = tuple[int, Type]
"""How long an operation takes (ns), and how it ends."""


def simulate(
    source: Source,
    fate: Callable[[Op], Fate],
    concurrency: int = 2,
    ops_max: int = 1000,
    spurious_poll: Callable[[int], int | None] = lambda now: None,
) -> list[Op]:
    """The history of the first `ops_max` operations. Nemesis operations
    always end as `info`. `spurious_poll(now)` may name a time at which to poll for no reason."""
    history: list[Op] = []
    scheduler = Scheduler(as_generator(source), concurrency, history.append)
    ends: list[tuple[int, int, Thread, Op]] = []
    now, dispatched = 0, 0
    while True:
        while ends and ends[0][0] <= now:
            _, _, thread, op = heappop(ends)
            scheduler.complete(thread, op, now)
        step: object = scheduler.poll(now) if dispatched < ops_max else Wait(None)
        if isinstance(step, Dispatch):
            dispatched += 1
            latency, type_ = fate(step.op)
            completion = replace(step.op, type="info" if step.thread == NEMESIS else type_)
            heappush(ends, (now + latency, step.op.index, step.thread, completion))
            continue
        if isinstance(step, Finished) or (dispatched == ops_max and not ends):
            return history
        assert isinstance(step, Wait)
        due = [ends[0][0]] if ends else []
        due += [] if step.until is None else [step.until]
        early = spurious_poll(now)
        now = min(due if early is None else [*due, max(now + 1, early)])


def quick(source: Source, concurrency: int = 2, ops_max: int = 1000) -> list[Op]:
    """The invocations, when every operation succeeds at once."""
    return invocations(simulate(source, lambda op: (0, "ok"), concurrency, ops_max))


def perfect(source: Source, concurrency: int = 2, ops_max: int = 1000) -> list[Op]:
    """The invocations, when every operation succeeds after 10 ns."""
    return invocations(simulate(source, lambda op: (10, "ok"), concurrency, ops_max))


def imperfect(source: Source, concurrency: int = 2, ops_max: int = 1000) -> list[Op]:
    """The history, when each thread's operations fail, are lost, and succeed in turn, each after 10 ns."""
    turns: dict[int | str, int] = {}
    ends: tuple[Type, ...] = ("fail", "info", "ok")

    def fate(op: Op) -> Fate:
        thread = op.process % concurrency if isinstance(op.process, int) else op.process
        turns[thread] = turns.get(thread, -1) + 1
        return 10, ends[turns[thread] % 3]

    return simulate(source, fate, concurrency, ops_max)


def invocations(history: list[Op]) -> list[Op]:
    """Those of the nemesis, too: every other of its events."""
    waiting, found = False, []
    for op in history:
        if op.process == NEMESIS:
            waiting = not waiting
        if op.type == "invoke" or (op.process == NEMESIS and waiting):
            found.append(op)
    return found


def names(ops: list[Op]) -> str:
    """Their `f`s in order, as one word."""
    return "".join(op.f for op in ops)


def context(concurrency: int = 2, time: int = 0, busy: tuple[Thread, ...] = ()) -> Context:
    threads: tuple[Thread, ...] = (*range(concurrency), NEMESIS)
    return Context(
        time,
        threads,
        tuple(thread for thread in threads if thread not in busy),
        {thread: thread for thread in threads},
    )


def endless(f: str) -> Generator:
    """Operations `f`, with the values 0, 1, ..."""
    return numbered(lambda i: Op(f=f, value=i))
