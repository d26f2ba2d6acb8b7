"""CPU seconds of the checkers of weak consistency, on large generated histories: a correct one, one that
copies of one log answered, and one with a planted anomaly.

Generated histories are functions of their seed; what is printed beside the verdict is what the history is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from random import Random
from typing import Any, Final

from rich.table import Table

from benchmarks import histories
from benchmarks.judging import SIZE, Work, judged
from checkers.causal import Causal
from checkers.history import Op
from checkers.ladder import Ladder
from checkers.lost_updates import LostUpdates
from checkers.sequential import Sequential
from checkers.sessions import Sessions, SiblingSessions
from checkers.staleness import Staleness
from checkers.verdict import Checker

LAGS_ONE_IN: Final = 20
"""Of one in so many reads a copy lags."""


def table() -> Table:
    return judged("Checkers of weak consistency", _work())


def _work() -> Iterator[Work]:
    kinds: list[tuple[str, Callable[[], list[Op]]]] = [
        ("one register, 1 % crashed", cache(_right)),
        ("the same, one stale read", cache(lambda: histories.with_stale_read(_right()))),
        ("one register with deletes, one stale read", cache(_deleted_and_stale)),
        ("50 keys, copies that lag", cache(lambda: lagging(SIZE))),
    ]
    for what, history in kinds:
        checkers: list[Checker] = [Sessions(), Causal(), Sequential(), Staleness(), Ladder()]
        for checker in checkers:
            yield Work(what, checker, history)
    yield Work("chains of cas", LostUpdates(), lambda: chains(SIZE, lost=False))
    yield Work("chains of cas, one lost", LostUpdates(), lambda: chains(SIZE, lost=True))
    yield Work("20 keys with siblings", SiblingSessions(), lambda: siblings(SIZE))


def _right() -> list[Op]:
    return histories.recorded(histories.register(None), SIZE, 10, 0.01)


def _deleted_and_stale() -> list[Op]:
    """Thousands of reads may have seen any of many deletes."""
    return histories.with_stale_read(histories.recorded(histories.deleted_register(), SIZE, 10))


def lagging(size: int, clients: int = 10, keys: int = 50) -> list[Op]:
    """One client after the other; each reads what a copy held up to 30 writes of the key ago."""
    rng = Random(1)
    held: list[list[Any]] = [[None] for _ in range(keys)]
    events: list[Op] = []
    for number in range(size):
        key = rng.randrange(keys)
        value = None
        f = rng.choice(("read", "write"))
        if f == "write":
            value = number
            held[key].append(value)
        else:
            behind = rng.randrange(30) if not rng.randrange(LAGS_ONE_IN) else 0
            value = held[key][max(0, len(held[key]) - 1 - behind)]
        _done(events, number % clients, f, f"k{key}", None if f == "read" else value, value)
    return events


def chains(size: int, lost: bool, keys: int = 50) -> list[Op]:
    """Every cas replaces the value before; `lost`: the last replaces one that was replaced."""
    rng = Random(2)
    held: list[list[int]] = [[0] for _ in range(keys)]
    events: list[Op] = []
    for key in range(keys):
        _done(events, 0, "write", f"k{key}", 0, 0)
    for number in range(1, size + 1):
        key = rng.randrange(keys)
        at = -2 if lost and number == size else -1
        change = [held[key][at], number]
        held[key].append(number)
        _done(events, number % 10, "cas", f"k{key}", change, change)
    return events


def siblings(size: int, clients: int = 10, keys: int = 20) -> list[Op]:
    """One copy of each key; a write replaces what its client was shown last."""
    rng = Random(3)
    held: list[set[int]] = [set() for _ in range(keys)]
    shown: dict[tuple[int, int], set[int]] = {}
    events: list[Op] = []
    for number in range(size):
        client, key = number % clients, rng.randrange(keys)
        if rng.randrange(2):
            held[key] = (held[key] - shown.get((client, key), set())) | {number}
            shown[client, key] = {number}
            _done(events, client, "write", f"k{key}", number, number)
        else:
            shown[client, key] = set(held[key])
            _done(events, client, "read", f"k{key}", None, sorted(held[key]))
    return events


def _done(events: list[Op], process: int, f: str, key: str, asked: Any, answer: Any) -> None:
    at = len(events)
    events.append(Op(at, at * 1000, process, "invoke", f, key, asked))
    events.append(Op(at + 1, (at + 1) * 1000, process, "ok", f, key, answer))
