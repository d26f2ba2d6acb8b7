"""Asking several generators, and making one answer of theirs without losing what being asked changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from checkers.history import Op
from harness.context import Context
from harness.generator import Answer, Generator, Pending

K = TypeVar("K")

Changes = dict[K, Generator | None]
"""By child: what remains of it, or None if it is exhausted. Children that are not named are as they were."""

Rebuild = Callable[[Changes[K], K | None], Generator | None]
"""The whole with those changes, after an operation of the child named, if any. None: all are exhausted."""


def soonest(ctx: Context, children: Iterable[tuple[K, Generator, Context]], rebuild: Rebuild[K]) -> Answer:
    """The operation that is due first, of equals the first one listed. Asks no further than one due now."""
    chosen: tuple[K, Op, Generator | None] | None = None
    until: int | None = None
    changes: Changes[K] = {}
    for key, child, scope in children:
        answer = child.op(scope)
        if answer is None:
            changes[key] = None
        elif isinstance(answer, Pending):
            if answer.generator is not None:
                changes[key] = answer.generator
            until = earlier(until, answer.until)
        elif chosen is None or answer[0].time < chosen[1].time:
            chosen = (key, *answer)
            if answer[0].time <= ctx.time:
                break
    return settle(ctx, chosen, until, changes, rebuild)


def settle(
    ctx: Context,
    chosen: tuple[K, Op, Generator | None] | None,
    until: int | None,
    changes: Changes[K],
    rebuild: Rebuild[K],
) -> Answer:
    """The answer of the whole, when `chosen` is the operation it would give (None: it has none for now) and
    `until` is the first moment at which a child that is pending wants to be asked."""
    if chosen is None:
        rest = rebuild(changes, None)
        return None if rest is None else Pending(until, rest if changes else None)
    key, op, rest = chosen
    if op.time > ctx.time and (changes or (until is not None and until < op.time)):
        # This answer may be thrown away; the changes must not be, and another child may be sooner.
        return Pending(earlier(until, op.time), rebuild(changes, None) if changes else None)
    changes[key] = rest
    return op, rebuild(changes, key)


def earlier(a: int | None, b: int | None) -> int | None:
    """The earlier of two moments; None is never."""
    if a is None or b is None:
        return b if a is None else a
    return a if a < b else b
