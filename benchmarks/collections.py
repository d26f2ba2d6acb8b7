"""CPU seconds of the checkers of sets, counters, queues and identifiers, on large generated histories:
correct ones with crashes, and the same with one planted anomaly.

Generated histories are functions of their seed.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

from msgspec.structs import replace
from rich.table import Table

from benchmarks import histories
from benchmarks.judging import SIZE, Work, judged
from checkers.agreement import CopiesAgree
from checkers.carts import CartChecker
from checkers.convergence import Convergence
from checkers.counters import CounterBounds
from checkers.history import Op
from checkers.monotonic import Monotonic
from checkers.queues import TotalQueue
from checkers.recovery import Healing, Recovery
from checkers.set_full import SetFull
from checkers.sets import SetAtEnd
from checkers.unique_ids import UniqueIds

CRASHED: Final = 0.001
SETS: Final = 50


def table() -> Table:
    return judged("Checkers of collections", _work())


def _work() -> Iterator[Work]:
    adding, reading = f"{SETS} sets, read at the end", f"{SETS} sets, half are reads"
    yield Work(adding, SetAtEnd(), lambda: sets(adds_one_in=1))
    yield Work(reading, SetFull(), lambda: sets(adds_one_in=2))
    yield Work("the same, one element lost", SetFull(), lambda: forgotten(sets(adds_one_in=2)))
    yield Work("half are reads", CounterBounds(), lambda: _read_at_last(_recorded(histories.counter())))
    yield Work("the same, one impossible read", CounterBounds(), lambda: _too_low(histories.counter()))
    yield Work("half are reads", Monotonic(), lambda: _recorded(histories.counter()))
    yield Work("the same, one that goes back", Monotonic(), lambda: _too_low(histories.counter()))
    yield Work("half are dequeues", TotalQueue(), lambda: _drained(_recorded(histories.fifo_queue())))
    yield Work("all answered", UniqueIds(), lambda: _ids(SIZE))
    yield Work("the same, one given out twice", UniqueIds(), lambda: [*_ids(SIZE - 1), *_ids(1)])
    yield Work("10 clients, 1,000 healings", _recovery(), lambda: _recorded(histories.counter()))
    yield Work(f"{SETS} carts, half are reads", CartChecker(fresh=True), lambda: carts(sets(adds_one_in=2)))
    yield Work("looks at 3 copies of 100 keys", CopiesAgree(), copies)
    yield Work("writes of 100 keys, then their copies", Convergence(True), lambda: converged(lost=False))
    yield Work("the same, one write lost", Convergence(True), lambda: converged(lost=True))


def _recorded(mix: histories.Mix) -> list[Op]:
    return histories.recorded(mix, SIZE, 10, CRASHED)


def _too_low(mix: histories.Mix) -> list[Op]:
    return histories.with_one_answer_changed(_recorded(mix), "read", lambda value: value - 1_000, 0.5)


def _read_at_last(events: list[Op]) -> list[Op]:
    """A counter's."""
    total = sum(op.type == "ok" and op.f == "add" for op in events)
    read = Op(process=99_999_999, f="read")
    return [*events, read, replace(read, type="ok", value=total)]


def sets(adds_one_in: int) -> list[Op]:
    """Ten clients, one operation after the other, and at the end a read of each set."""
    rng = Random(4)
    held: list[list[int]] = [[] for _ in range(SETS)]
    events: list[Op] = []
    for number in range(SIZE - SETS):
        key = rng.randrange(SETS)
        if rng.randrange(adds_one_in) == 0:
            held[key].append(number)
            _done(events, "add", f"s{key}", number, number)
        else:
            _done(events, "read", f"s{key}", None, list(held[key]))
    for key in range(SETS):
        _done(events, "read", f"s{key}", None, held[key])
    return events


def forgotten(events: list[Op]) -> list[Op]:
    """The last read lacks an element."""
    return [*events[:-1], replace(events[-1], value=events[-1].value[1:])]


def carts(events: list[Op]) -> list[Op]:
    """Sets as carts."""
    names = {"add": "item", "read": "items"}
    return [op if op.value is None else replace(op, value={names[op.f]: op.value}) for op in events]


def copies() -> list[Op]:
    events: list[Op] = []
    for number in range(SIZE):
        held = {node: [number // 100] for node in ("n1", "n2", "n3")}
        _done(events, "copies", f"k{number % 100}", None, held)
    return events


def converged(lost: bool) -> list[Op]:
    events: list[Op] = []
    last: dict[str, int] = {}
    before = 0
    for number in range(SIZE - 100):
        key = f"k{number % 100}"
        before, last[key] = last.get(key, 0), number
        _done(events, "write", key, number, number)
    if lost:
        last[key] = before
    for key, value in last.items():
        _done(events, "copies", key, None, dict.fromkeys(("n1", "n2", "n3"), value))
    return events


def _drained(events: list[Op]) -> list[Op]:
    """What is missing was taken at the end, all at once."""
    taken = {op.value for op in events if op.f == "dequeue" and op.type == "ok"}
    sure = [op.value for op in events if op.f == "enqueue" and op.type == "ok"]
    rest = [value for value in sure if value not in taken]
    end = [Op(process=99_999_999, f="drain"), Op(process=99_999_999, type="ok", f="drain", value=rest)]
    return [*events, *end]


def _ids(count: int) -> list[Op]:
    events: list[Op] = []
    for number in range(count):
        _done(events, "generate", None, None, number)
    return events


def _recovery() -> Recovery:
    healings = [
        Healing(("kill",), at, at + 100_000) for at in range(0, 2 * SIZE * 1_000, 2 * SIZE * 1_000 // 1_000)
    ]
    return Recovery(healings, lambda op: f"n{op.process}" if isinstance(op.process, int) else None)


def _done(events: list[Op], f: str, key: str | None, asked: Any, answer: Any) -> None:
    at = len(events)
    process = at // 2 % 10
    events.append(Op(at, at * 1000, process, "invoke", f, key, asked))
    events.append(Op(at + 1, (at + 1) * 1000, process, "ok", f, key, answer))
