"""Calls that fit anywhere, put into an order that does without them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter

from checkers.linear.problem import Call

Placed = tuple[int, Sequence[Call]]
"""Calls to be done together, at a position of the history at which all of them are open."""


def with_floating(order: Iterable[Call], floating: Iterable[Placed]) -> list[Call]:
    """`order`, which respects real time, with each of `floating` after all that must be done by its position:
    a call takes effect when it and all before it have begun."""
    waiting = sorted(floating, key=itemgetter(0))
    merged: list[Call] = []
    now = -1
    added = 0
    for call in order:
        now = max(now, call.start)
        while added < len(waiting) and waiting[added][0] < now:
            merged += waiting[added][1]
            added += 1
        merged.append(call)
    for _, calls in waiting[added:]:
        merged += calls
    return merged
