"""Polynomial path for the priority queue: O(n log n) where values are unique.

Decrease and conquer, in the sense of Lee and Mathur (OOPSLA 2025): the largest value never stands in any
other's way, so it can be left out, if it was removed when nothing smaller need have been there.
The argument, which also gives the order, is in docs/protocols/collections.md.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from checkers.linear.paths.base import Decision
from checkers.linear.paths.lives import NEVER, Conflict, Life, covering
from checkers.linear.paths.unseen import decide
from checkers.linear.problem import Call
from checkers.models import Model

Step = tuple[int, int, int, int, Call]
"""A position; before it (0) or right after (1); the rank of the value; insertion before removal; the call."""


def priority_queue(calls: Sequence[Call], model: Model) -> Decision | None:
    """Decides every history in which no value is inserted twice and every removal's answer is known; of the
    others, most."""
    return decide(calls, "insert", "delete-min", _priority, (_reversed, _reversed))


def _priority(lives: list[Life], empties: list[Call]) -> list[Call] | Conflict:
    bounds = sorted({at for life in lives for at in (life.put_end, life.take_start)})
    covered = _Covered(bounds)
    ranked = sorted(lives, key=_value)
    steps: list[Step] = []
    for rank, life in enumerate(ranked):
        taken = covered.next_free(life.take_start)
        if taken > life.take_end:
            return Conflict([*covering(ranked[:rank], life.take_start, life.take_end), life])
        covered.add(life.put_end, life.take_start)
        if life.put_end < taken:
            steps.append((life.put_end, 0, rank, 0, life.put))
        else:
            steps.append((taken, 1, rank, 0, life.put))
        if life.take is not None and taken < NEVER:
            steps.append((taken, 1, rank, 1, life.take))
    for call in empties:
        assert call.end is not None
        found = covered.next_free(call.start)
        if found > call.end:
            return Conflict(covering(lives, call.start, call.end), [call])
        steps.append((found, 1, len(lives), 0, call))
    steps.sort(key=_when)
    return [call for *_, call in steps]


class _Covered:
    """A growing union of spans between given positions: a forest in which each position leads to the next
    one that no span covers (Tarjan's disjoint sets, with path halving)."""

    def __init__(self, bounds: list[int]) -> None:
        self._bounds = bounds
        self._next = list(range(len(bounds) + 1))

    def add(self, start: int, end: int) -> None:
        """Cover from `start` to before `end`, both among the bounds; nothing if `end` comes first."""
        last = bisect_left(self._bounds, end)
        number = self._find(bisect_left(self._bounds, start))
        while number < last:
            self._next[number] = number + 1
            number = self._find(number + 1)

    def next_free(self, at: int) -> int:
        """The earliest position from `at` on that is not covered."""
        number = bisect_left(self._bounds, at)
        if number < len(self._bounds) and self._bounds[number] == at:
            found = self._find(number)
        elif number and (found := self._find(number - 1)) >= number:
            pass  # the span that covers the bound before goes on to here
        else:
            return at
        return self._bounds[found]

    def _find(self, number: int) -> int:
        leads = self._next
        while leads[number] != number:
            leads[number] = leads[leads[number]]
            number = leads[number]
        return number


def _value(life: Life) -> int | float:
    number: int | float = life.value
    return number


def _when(step: Step) -> tuple[int, int, int, int]:
    return step[:4]


def _reversed(life: Life) -> int | float:
    return -_value(life)
