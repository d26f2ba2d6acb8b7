"""Removals whose answer nobody saw: which value did each take?

For queues there is a best answer, and it is simple. For stacks and priority queues there is a good guess,
which is checked like any other, and put right a few times; what cannot be refuted either is left undecided.
The arguments are in docs/protocols/collections.md.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

from checkers.linear.paths.base import Decision
from checkers.linear.paths.lives import NEVER, Conflict, Life, Lives, lives_of
from checkers.linear.problem import Call
from checkers.models import UNSEEN, Value

GUESSES: Final = 12

Solve = Callable[[list[Life], list[Call]], list[Call] | Conflict]
"""An order of the lives' calls and of those that found nothing, or what there is none for."""
Key = Callable[[Life], float]


def decide(
    calls: Iterable[Call], insert: str, remove: str, solve: Solve, blocking: tuple[Key, Key] | None = None
) -> Decision | None:
    """`blocking`: a value is certainly in the way of another, while both are there, if the first key of it is
    above the second key of the other. None: in the way of those that come later, as in a queue."""
    lives = lives_of(calls, insert, remove)
    if not isinstance(lives, Lives):
        return lives
    if not lives.unseen:
        found = solve(lives.all, lives.empties)
        return _convicted(found) if isinstance(found, Conflict) else Decision(found)
    found = solve(_given(lives, _first_come), lives.empties)
    if not isinstance(found, Conflict):
        return Decision(found)
    if all(life.certain for life in found.lives):
        return _convicted(found)
    if blocking is None and not any(life.optional for life in lives.all):
        return _convicted(_with_earlier(found, lives), lives.unseen)
    return (_guessed(lives, solve, blocking) if blocking else None) or _bounds(lives, solve)


def _given(lives: Lives, first: Callable[[Life], tuple[int, int]]) -> list[Life]:
    """The unseen removals, by beginning, given to the values nobody took, by this key."""
    untaken = sorted((life for life in lives.all if life.take is None), key=first)
    given = {life.value: call for life, call in zip(untaken, lives.unseen, strict=False)}
    return [
        life.taken_by(call, call.start) if (call := given.get(life.value)) is not None else life
        for life in lives.all
    ]


def _with_earlier(found: Conflict, lives: Lives) -> Conflict:
    """With every value that the unseen removals would have been given to before those in the conflict."""
    last = max(life.put_end for life in found.lives if not life.certain)
    chosen = {life.value for life in found.lives}
    earlier = [life for life in lives.all if life.take is None and life.put_end <= last]
    return found._replace(lives=[*found.lives, *(life for life in earlier if life.value not in chosen)])


def _convicted(found: Conflict, unseen: Sequence[Call] = ()) -> Decision:
    core = [life.put for life in found.lives]
    core += [life.take for life in found.lives if life.take is not None and life.take.f != UNSEEN]
    return Decision(None, core=(*core, *found.empties, *unseen))


def _bounds(lives: Lives, solve: Solve) -> Decision | None:
    """Too few removals, none of the unseen, and too many: each value by one that began first of all."""
    found = solve(lives.all, lives.empties)
    if not isinstance(found, Conflict):
        return Decision(found)
    first = lives.unseen[0].start
    free = [
        life if life.certain or life.take_start < first else life.taken_by(None, first) for life in lives.all
    ]
    found = solve(free, lives.empties)
    if not isinstance(found, Conflict):
        return None
    if all(life.certain for life in found.lives):
        return _convicted(found)
    by_value = {life.value: life for life in lives.all}
    return _convicted(found._replace(lives=[by_value[life.value] for life in found.lives]), lives.unseen)


# By when ------------------------------------------------------------------------------------------


class Bar(NamedTuple):
    """A call that a value must not be there for. It began after `start` and ended at `end`."""

    level: float
    start: int
    end: int
    whose: Life | Call


def _guessed(lives: Lives, solve: Solve, blocking: tuple[Key, Key]) -> Decision | None:
    """The unseen removals, by beginning, given to the values by when these have to be gone."""
    bars = _bars(lives, *blocking)
    too_many = _too_many(lives, bars)
    if too_many is not None:
        return too_many
    deadline = {value: NEVER if bar is None else bar.end for value, bar in bars.items()}
    for _ in range(GUESSES):
        guess = _given(lives, lambda life: (deadline[life.value], life.put_end))
        found = solve(guess, lives.empties)
        if not isinstance(found, Conflict):
            return Decision(found)
        ends = [call.end for call in found.empties if call.end is not None]
        ends += [life.take_end for life in found.lives if life.certain]
        loose = [life for life in found.lives if life.value in deadline]
        if not loose:
            return None
        for life in loose:
            later = min((end for end in ends if end > life.put_end), default=NEVER)
            sooner = later if life.take is None else life.take_start
            deadline[life.value] = min(deadline[life.value], sooner)
    return None


def _too_many(lives: Lives, bars: dict[Value, Bar | None]) -> Decision | None:
    """More values had to be gone by some moment than unseen removals had begun."""
    due = sorted(
        ((bar, life) for life in lives.all if (bar := bars.get(life.value)) is not None),
        key=lambda each: each[0].end,
    )
    for number, (last, _) in enumerate(due):
        if number >= len(lives.unseen) or lives.unseen[number].start > last.end:
            involved = due[: number + 1]
            chosen = [life for _, life in involved]
            empties: dict[int, Call] = {}
            others: dict[Value, Life] = {}
            for bar, _ in involved:
                if isinstance(bar.whose, Life):
                    others[bar.whose.value] = bar.whose
                else:
                    empties[bar.whose.start] = bar.whose
            return _convicted(
                Conflict([*chosen, *others.values()], list(empties.values())), lives.unseen[:number]
            )
    return None


def _bars(lives: Lives, above: Key, below: Key) -> dict[Value, Bar | None]:
    """For each value that nobody is known to have removed, the call that ends first among those that it is
    certainly in the way of: it was certainly inserted before they began."""
    bars = [Bar(below(life), life.take_start, life.take_end, life) for life in lives.all if life.certain]
    bars += [Bar(-math.inf, call.start, call.end, call) for call in lives.empties if call.end is not None]
    bars.sort(key=lambda bar: bar.level)
    starts = sorted(-bar.start for bar in bars)
    first: list[Bar | None] = [None] * (len(starts) + 1)  # a Fenwick tree, by descending beginning
    added = 0
    found: dict[Value, Bar | None] = {}
    for life in sorted((life for life in lives.all if life.take is None), key=above):
        while added < len(bars) and bars[added].level < above(life):
            bar = bars[added]
            number = bisect_left(starts, -bar.start) + 1
            while number < len(first):
                first[number] = _sooner(first[number], bar)
                number += number & -number
            added += 1
        number = bisect_left(starts, -life.put_end)
        found[life.value] = None
        while number:
            found[life.value] = _sooner(found[life.value], first[number])
            number &= number - 1
    return found


def _sooner(one: Bar | None, other: Bar | None) -> Bar | None:
    if one is None or (other is not None and other.end < one.end):
        return other
    return one


def _first_come(life: Life) -> tuple[int, int]:
    return life.put_end, 0
