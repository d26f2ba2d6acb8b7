"""Polynomial path for the stack: O(n log n) where values are unique.

Decrease and conquer, in the sense of Lee and Mathur (OOPSLA 2025): a value that can lie at the bottom for as
long as any other is certainly there can be left out, and where nothing is certainly there the history falls
apart. The argument, which also gives the order, and why this is log-linear without search trees, is in
docs/protocols/collections.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from checkers.linear.paths.base import Decision
from checkers.linear.paths.floating import with_floating
from checkers.linear.paths.lives import NEVER, Conflict, Life, Moments, covering, moments
from checkers.linear.paths.unseen import decide
from checkers.linear.problem import Call
from checkers.models import Model

Nest = list[Any]
"""Of steps, and of nests: read from left to right, it is an order."""
Step = tuple[int, Call | None]
"""The position at which the call can first take effect; the call (None: there is none)."""


def stack(calls: Sequence[Call], model: Model) -> Decision | None:
    """Decides every history in which no value is pushed twice and every pop's answer is known; of the others,
    most."""
    return decide(calls, "push", "pop", _stack, (_put_start, _put_end))


def _stack(lives: list[Life], empties: list[Call]) -> list[Call] | Conflict:
    found = moments(lives, empties)
    if not isinstance(found, Moments):
        return found
    passing = [life for life in lives if life.take_start < life.put_end]
    stages: list[list[Life]] = [[] for _ in range(len(found.at) + 1)]
    for life in lives:
        if life.put_end < life.take_start:
            stages[found.stage(life)].append(life)
    steps: list[Step] = []
    for number, stage in enumerate(stages):
        nest = _Stage(stage).nest() if stage else []
        if isinstance(nest, Conflict):
            return nest
        steps += _flat(nest)
        if number < len(found.at):
            steps += [(call.start, call) for call in found.empties[number]]
    return with_floating(_until_never(steps), [(life.take_start, _pair(life)) for life in passing])


def _until_never(steps: list[Step]) -> list[Call]:
    """Without what comes after something that never takes effect: those are pops that need not have been."""
    order: list[Call] = []
    for start, call in steps:
        if start >= NEVER:
            break
        if call is not None:
            order.append(call)
    return order


def _pair(life: Life) -> list[Call]:
    return [life.put] if life.take is None else [life.put, life.take]


class _Part:
    """Some lives, of which those that began and ended first and last are known; `lefts` and `rights` are
    those not yet known to be able to begin before, and to end after, all the others (and some that have left
    the part); `nest` is where their order goes."""

    def __init__(self, number: int, ends: tuple[int, int, int, int], nest: Nest) -> None:
        self.number = number
        self.first, self.last, self.first_out, self.last_out = ends
        self.nest = nest
        self.lefts: list[int] = []
        self.rights: list[int] = []
        self.bottoms: list[int] = []


class _Stage:
    """Lives numbered from 0, each of which is certainly there for a while; two linked lists hold those not
    yet placed, by the beginning and by the end of that while, and are cut where parts fall apart."""

    def __init__(self, lives: list[Life]) -> None:
        self.lives = lives
        numbers = range(len(lives))
        self.begin = [life.put_end for life in lives]
        self.end = [life.take_start for life in lives]
        self.after, self.before, first, last = _linked(sorted(numbers, key=self.begin.__getitem__))
        self.after_out, self.before_out, first_out, last_out = _linked(
            sorted(numbers, key=self.end.__getitem__)
        )
        self.part_of = [0] * len(lives)
        self.known = [0] * len(lives)
        whole = _Part(0, (first, last, first_out, last_out), [])
        self._file(whole, list(numbers))
        self.parts = 1
        self.waiting = [whole]
        self.order = whole.nest

    def nest(self) -> Nest | Conflict:
        while self.waiting:
            part = self.waiting.pop()
            while part.first >= 0:
                self._look(part)
                if part.bottoms:
                    self._lay_down(part, part.bottoms.pop())
                elif not self._fall_apart(part):
                    return Conflict(covering(self._members(part), *self._span(part)))
        return self.order

    def _span(self, part: _Part) -> tuple[int, int]:
        return self.begin[part.first], self.end[part.last_out]

    def _file(self, part: _Part, members: list[int]) -> None:
        lives, known = self.lives, self.known
        part.lefts = sorted(
            (each for each in members if not known[each] & 1), key=lambda each: -lives[each].put_start
        )
        part.rights = sorted(
            (each for each in members if not known[each] & 2), key=lambda each: lives[each].take_end
        )

    def _look(self, part: _Part) -> None:
        """Which can now begin before all others, and which end after them? Once they can, they always can."""
        begin, end = self._span(part)
        lives = self.lives
        while part.lefts and lives[part.lefts[-1]].put_start < begin:
            self._note(part, part.lefts.pop(), 1)
        while part.rights and lives[part.rights[-1]].take_end > end:
            self._note(part, part.rights.pop(), 2)

    def _note(self, part: _Part, number: int, fact: int) -> None:
        if self.part_of[number] == part.number:
            self.known[number] |= fact
            if self.known[number] == 3:
                part.bottoms.append(number)

    def _lay_down(self, part: _Part, number: int) -> None:
        """It lies under all the others."""
        life = self.lives[number]
        inner: Nest = []
        part.nest += [(life.put_start, life.put), inner, (life.take_start, life.take)]
        part.nest = inner
        self.part_of[number] = -1
        before, after = self.before[number], self.after[number]
        if number == part.first:
            part.first = after
        if number == part.last:
            part.last = before
        _join(self.after, self.before, before, after)
        before, after = self.before_out[number], self.after_out[number]
        if number == part.first_out:
            part.first_out = after
        if number == part.last_out:
            part.last_out = before
        _join(self.after_out, self.before_out, before, after)

    def _fall_apart(self, part: _Part) -> bool:
        """Cut the part where nothing is certainly there, looking from both sides at once, so that it costs no
        more than the smaller of the two parts; False if there is no such place."""
        begin, end = self.begin, self.end
        left = latest = part.first
        right = earliest = part.last_out
        while True:
            left = self.after[left]
            right = self.before_out[right]
            if left < 0 or right < 0:
                return False
            if end[latest] < begin[left]:
                self._cut(part, latest, left, from_left=True)
                return True
            if begin[earliest] > end[right]:
                self._cut(part, right, earliest, from_left=False)
                return True
            if end[left] > end[latest]:
                latest = left
            if begin[right] < begin[earliest]:
                earliest = right

    def _cut(self, part: _Part, latest: int, earliest: int, from_left: bool) -> None:
        """`latest` is the last to end in the left part, `earliest` the first to begin in the right one."""
        last, first_out = self.before[earliest], self.after_out[latest]
        self.after[last] = self.before[earliest] = -1
        self.after_out[latest] = self.before_out[first_out] = -1
        left_ends = (part.first, last, part.first_out, latest)
        right_ends = (earliest, part.last, first_out, part.last_out)
        left_nest: Nest = []
        right_nest: Nest = []
        part.nest += [left_nest, right_nest]
        new = _Part(
            self.parts, left_ends if from_left else right_ends, left_nest if from_left else right_nest
        )
        self.parts += 1
        part.first, part.last, part.first_out, part.last_out = right_ends if from_left else left_ends
        part.nest = right_nest if from_left else left_nest
        members = list(self._numbers(new))
        for each in members:
            self.part_of[each] = new.number
        self._file(new, members)
        self.waiting.append(new)

    def _numbers(self, part: _Part) -> Iterator[int]:
        number = part.first
        while number >= 0:
            yield number
            number = self.after[number]

    def _members(self, part: _Part) -> list[Life]:
        return [self.lives[number] for number in self._numbers(part)]


def _linked(numbers: list[int]) -> tuple[list[int], list[int], int, int]:
    """What comes after each, what before (-1: nothing), the first and the last."""
    after = [-1] * len(numbers)
    before = [-1] * len(numbers)
    for one, other in pairwise(numbers):
        after[one] = other
        before[other] = one
    return after, before, numbers[0], numbers[-1]


def _join(after: list[int], before: list[int], one: int, other: int) -> None:
    if one >= 0:
        after[one] = other
    if other >= 0:
        before[other] = one


def _flat(nest: Nest) -> list[Step]:
    steps: list[Step] = []
    waiting: list[Any] = [nest]
    while waiting:
        each = waiting.pop()
        if isinstance(each, list):
            waiting += reversed(each)
        else:
            steps.append(each)
    return steps


def _put_start(life: Life) -> int:
    return life.put_start


def _put_end(life: Life) -> int:
    return life.put_end
