"""Partial linearizations of a few calls, by brute force: what fits where, and what it meets elsewhere.

A configuration is what was placed and the state it led to. All that can be reached are visited, depth first,
up to `CONFIGURATIONS_MAX` (Wing and Gong's search, 1993, with Lowe's memory, 2017). A call that is legal and
changes nothing is placed at once, except the accused one, whose refusals are what is looked for.
This is for explaining the few calls that a checker found, and shares nothing with the checker but the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from checkers.linear.problem import Call
from checkers.models import ILLEGAL, Model, State

CONFIGURATIONS_MAX: Final = 20_000
ORDERS_MAX: Final = 4


class Step(NamedTuple):
    """A call, by number, and the state after it."""

    call: int
    state: State


class Order(NamedTuple):
    """A legal order of some calls in real time. It is about the call at `steps[at]`, or, if `at` is the
    length, about the first of `stuck`: the calls that could come next by real time but not in that state."""

    steps: tuple[Step, ...]
    at: int
    stuck: tuple[int, ...]


class Places(NamedTuple):
    """Of one call: the longest orders that hold it, one for each state it can find, and the longest that
    could be followed by it but for the state, one for each such state; at most `ORDERS_MAX` of each.
    `fitting_states` and `refusing_states` count them all."""

    fitting: tuple[Order, ...]
    refusing: tuple[Order, ...]
    fitting_states: int
    refusing_states: int


@dataclass(frozen=True, slots=True)
class Partial:
    """`places` by call. `complete`: all calls that must have happened can be placed. `cut`: not every
    configuration was visited, so there may be other orders, and longer ones."""

    places: tuple[Places, ...]
    complete: bool
    cut: bool


_Length = tuple[int, int]
"""How many required calls, and minus how many optional ones: those are placed only where they help."""


def partial_orders(calls: Sequence[Call], model: Model, initial: State, accused: int | None) -> Partial:
    graph = _Graph(calls, model, accused)
    graph.explore(initial)
    graph.measure()
    places = tuple(graph.places(number) for number in range(len(calls)))
    return Partial(places, graph.complete, graph.cut)


class _Graph:
    """Configurations by number: `masks` has the calls placed, `parents` the configuration before and the
    call between, `children` by call what comes next, or None where it is illegal."""

    def __init__(self, calls: Sequence[Call], model: Model, accused: int | None) -> None:
        self.calls = calls
        self.model = model
        self.accused = accused
        self.complete = False
        self.cut = False
        self.masks: list[int] = []
        self.states: list[State] = []
        self.parents: list[tuple[int, int]] = []
        self.children: list[dict[int, int | None]] = []
        self.longest: list[_Length] = []
        self.onward: list[int | None] = []
        self._known: dict[tuple[int, State], int] = {}
        self._before = [
            sum(1 << i for i, each in enumerate(calls) if each.end is not None and each.end < call.start)
            for call in calls
        ]
        self._required = sum(1 << i for i, call in enumerate(calls) if call.end is not None)
        self._by_end = sorted(range(len(calls)), key=lambda i: (calls[i].end is None, calls[i].end, i))

    def explore(self, initial: State) -> None:
        pending = [self._number(0, initial, (-1, -1))]
        while pending:
            node = pending.pop()
            if self.children[node]:
                continue
            if self.masks[node] & self._required == self._required:
                self.complete = True
                continue
            self._expand(node)
            fresh = [child for child in self.children[node].values() if child is not None]
            pending += [child for child in reversed(fresh) if not self.children[child]]

    def _expand(self, node: int) -> None:
        mask, state = self.masks[node], self.states[node]
        found: dict[int, State] = {}
        for number in self._next(mask):
            call = self.calls[number]
            after = self.model.step(state, call.f, call.value)
            if after is ILLEGAL:
                self.children[node][number] = None
                continue
            found[number] = after
            if number != self.accused and call.end is not None and self.model.pure(call.f, call.value):
                found = {number: after}
                break
        for number, after in found.items():
            if len(self.masks) >= CONFIGURATIONS_MAX and (mask | 1 << number, after) not in self._known:
                self.cut = True
                continue
            self.children[node][number] = self._number(mask | 1 << number, after, (node, number))

    def _next(self, mask: int) -> list[int]:
        """What can come next by real time, the first to end first."""
        before = self._before
        return [i for i in self._by_end if not mask >> i & 1 and not before[i] & ~mask]

    def _number(self, mask: int, state: State, parent: tuple[int, int]) -> int:
        number = self._known.setdefault((mask, state), len(self.masks))
        if number == len(self.masks):
            self.masks.append(mask)
            self.states.append(state)
            self.parents.append(parent)
            self.children.append({})
        return number

    def measure(self) -> None:
        """How far one gets from each configuration, and by which call."""
        self.longest = [(0, 0)] * len(self.masks)
        self.onward = [None] * len(self.masks)
        for node in sorted(range(len(self.masks)), key=lambda node: -self.masks[node].bit_count()):
            for number, child in self.children[node].items():
                if child is not None:
                    length = _sum(self._length(1 << number), self.longest[child])
                    if length > self.longest[node]:
                        self.longest[node], self.onward[node] = length, number

    def _length(self, mask: int) -> _Length:
        required = (mask & self._required).bit_count()
        return required, required - mask.bit_count()

    def places(self, number: int) -> Places:
        fitting: dict[State, tuple[_Length, int]] = {}
        refusing: dict[State, tuple[_Length, int]] = {}
        for node, children in enumerate(self.children):
            if number not in children:
                continue
            child = children[number]
            length = self._length(self.masks[node])
            if child is not None:
                length = _sum(length, _sum(self._length(1 << number), self.longest[child]))
            group = refusing if child is None else fitting
            if self.states[node] not in group or length > group[self.states[node]][0]:
                group[self.states[node]] = (length, node)
        fits, refuses = _longest(fitting), _longest(refusing)
        return Places(
            tuple([self._with(number, node) for node in fits[:ORDERS_MAX]]),
            tuple([self._up_to(number, node) for node in refuses[:ORDERS_MAX]]),
            len(fits),
            len(refuses),
        )

    def _with(self, number: int, node: int) -> Order:
        steps = self._path(node)
        at = len(steps)
        child = self.children[node][number]
        assert child is not None
        steps.append(Step(number, self.states[child]))
        while (onward := self.onward[child]) is not None:
            child = self.children[child][onward]
            assert child is not None
            steps.append(Step(onward, self.states[child]))
        return Order(tuple(steps), at, self._stuck(child))

    def _up_to(self, number: int, node: int) -> Order:
        steps = self._path(node)
        others = [each for each in self._stuck(node) if each != number]
        return Order(tuple(steps), len(steps), (number, *others))

    def _path(self, node: int) -> list[Step]:
        steps = []
        while node > 0:
            parent, number = self.parents[node]
            steps.append(Step(number, self.states[node]))
            node = parent
        return steps[::-1]

    def _stuck(self, node: int) -> tuple[int, ...]:
        return tuple(
            number
            for number, child in self.children[node].items()
            if child is None and self.calls[number].end is not None
        )


def _sum(one: _Length, other: _Length) -> _Length:
    return one[0] + other[0], one[1] + other[1]


def _longest(group: dict[State, tuple[_Length, int]]) -> list[int]:
    """The configurations with the most required calls, the fewest optional ones first."""
    most = max((length[0] for length, _ in group.values()), default=0)
    found = [(-length[1], node) for length, node in group.values() if length[0] == most]
    return [node for _, node in sorted(found)]
