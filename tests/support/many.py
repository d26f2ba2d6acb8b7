"""A made-up history of as many operations as one likes: thirty clients, most served in milliseconds."""

from __future__ import annotations

from heapq import heapify, heapreplace
from random import Random

from checkers.history import Op, Type

CLIENTS = 30
MS = 1_000_000
OUTCOMES: tuple[Type, ...] = ("ok", "fail", "info")


def many(count: int, seed: int = 1) -> list[Op]:
    """By time. One operation in a thousand ends in a timeout after a second, and one in twenty fails."""
    draw = Random(seed)
    free = [(client * 17_000, client) for client in range(CLIENTS)]
    heapify(free)
    events: list[Op] = []
    for number in range(count):
        at, process = free[0]
        outcome = draw.choices(OUTCOMES, (949, 50, 1))[0]
        took = 1000 * MS if outcome == "info" else int(draw.lognormvariate(15, 0.8))
        f, key = draw.choice(("read", "write")), f"r{draw.randrange(400)}"
        value = None if f == "read" else number
        events.append(Op(-1, at, process, "invoke", f, key, value))
        error = None if outcome == "ok" else "timeout"
        events.append(Op(-1, at + took, process, outcome, f, key, number, error))
        after = process + CLIENTS if outcome == "info" else process
        heapreplace(free, (at + took + draw.randrange(1, 10 * MS), after))
    events.sort(key=lambda op: op.time)
    return events
