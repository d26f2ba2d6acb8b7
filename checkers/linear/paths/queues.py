"""Polynomial paths for the fifo queue and the unordered queue: O(n log n) where values are unique.

The conditions are those of Henzinger, Sezgin and Vafeiadis (CONCUR 2013): values are taken in the order in
which they came, and what found nothing did so at a moment at which nothing need have been there. Abdulla and
others (PLDI 2025) decide them in O(n log n), too. The argument, which also gives the order, is in
docs/protocols/collections.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from checkers.linear.paths.base import Decision
from checkers.linear.paths.lives import NEVER, Conflict, Life, Moments, moments
from checkers.linear.paths.unseen import decide
from checkers.linear.problem import Call
from checkers.models import UNSEEN, Model

Step = tuple[int, int, int, Call]
"""When (a position), insertions before removals, a number that breaks ties; and the call."""


def fifo_queue(calls: Sequence[Call], model: Model) -> Decision | None:
    """Decides every history in which no value is enqueued twice, except some with removals that are optional
    although their answer is known next to others whose answer is not."""
    return decide(calls, "enqueue", "dequeue", _fifo)


def unordered_queue(calls: Sequence[Call], model: Model) -> Decision | None:
    """As `fifo_queue`."""
    return decide(calls, "enqueue", "dequeue", _unordered)


def _fifo(lives: list[Life], empties: list[Call]) -> list[Call] | Conflict:
    return _stage_by_stage(lives, empties, _in_turn)


def _unordered(lives: list[Life], empties: list[Call]) -> list[Call] | Conflict:
    return _stage_by_stage(lives, empties, _any_turn)


def _stage_by_stage(
    lives: list[Life],
    empties: list[Call],
    steps_of: Callable[[list[Life], int, int], list[Step] | Conflict],
) -> list[Call] | Conflict:
    """Between two moments of emptiness, those that live there; at each, those that found it."""
    found = moments(lives, empties)
    if not isinstance(found, Moments):
        return found
    stages: list[list[Life]] = [[] for _ in range(len(found.at) + 1)]
    for life in lives:
        stages[found.stage(life)].append(life)
    order: list[Call] = []
    for number, stage in enumerate(stages):
        begin = found.at[number - 1] if number else -1
        until = found.at[number] if number < len(found.at) else NEVER
        steps = steps_of(stage, begin, until)
        if isinstance(steps, Conflict):
            return steps
        steps.sort(key=_when)
        order += [call for *_, call in steps]
        if number < len(found.at):
            order += found.empties[number]
    return order


def _any_turn(lives: list[Life], begin: int, until: int) -> list[Step]:
    """Everything as early as it can be; but removals that nobody saw last, and only where they are needed."""
    steps: list[Step] = []
    for life in lives:
        put = max(begin, life.put_start)
        steps.append((put, 0, 0, life.put))
        take = life.take
        if take is not None:
            at = until if take.f == UNSEEN else max(put, life.take_start)
            if at < NEVER:
                steps.append((at, 1, take.f == UNSEEN, take))
    return steps


def _in_turn(lives: list[Life], begin: int, until: int) -> list[Step] | Conflict:
    """Everything as early as it can be, if all go in and out in the same order."""
    turns = _turns(lives)
    if isinstance(turns, Conflict):
        return turns
    steps: list[Step] = []
    put = take = begin
    for number, life in enumerate(turns):
        put = max(put, life.put_start)
        take = max(take, put, life.take_start)
        steps.append((put, 0, number, life.put))
        if life.take is not None and take < NEVER:
            steps.append((take, 1, number, life.take))
    return steps


def _turns(lives: list[Life]) -> list[Life] | Conflict:
    """An order in which none comes after one whose insertion, or removal, began after its own ended."""
    if len(lives) < 2:
        return lives
    numbers = range(len(lives))
    in_start = sorted(numbers, key=lambda number: lives[number].put_start)
    in_end = sorted(numbers, key=lambda number: lives[number].put_end)
    out_start = sorted(numbers, key=lambda number: lives[number].take_start)
    out_end = sorted(numbers, key=lambda number: lives[number].take_end)
    free = [0] * len(lives)  # of "none must go in first" and "none must go out first", how many hold
    turns: list[Life] = []
    went_in = went_out = first_in = first_out = 0
    while len(turns) < len(lives):
        before = len(turns)
        while free[in_end[first_in]] == 2:
            first_in += 1
        while free[out_end[first_out]] == 2:
            first_out += 1
        limit = lives[in_end[first_in]].put_end
        while went_in < len(lives) and lives[in_start[went_in]].put_start < limit:
            number = in_start[went_in]
            went_in += 1
            free[number] += 1
            if free[number] == 2:
                turns.append(lives[number])
        limit = lives[out_end[first_out]].take_end
        while went_out < len(lives) and lives[out_start[went_out]].take_start < limit:
            number = out_start[went_out]
            went_out += 1
            free[number] += 1
            if free[number] == 2:
                turns.append(lives[number])
        if len(turns) == before:
            return Conflict([lives[in_end[first_in]], lives[out_end[first_out]]])
    return turns


def _when(step: Step) -> tuple[int, int, int]:
    return step[:3]
