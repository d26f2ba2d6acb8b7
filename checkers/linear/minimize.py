"""From a history that cannot be linearized to the smallest part of it that cannot.

Every reduction is one that a linearizable history survives, so that what remains still convicts (the
arguments are in docs/protocols/linearizability.md):
- cut the history short: calls that are open at the cut become optional;
- leave out a call that changes nothing, or one whose result no remaining call looks at;
- when nothing required is open and only one state is possible, begin there, with the optional calls kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

from checkers.linear.ahead import Ahead, looks_ahead
from checkers.linear.problem import Call, Problem
from checkers.linear.search import Answer, Search
from checkers.models import ILLEGAL, Illegal, Model, State

LONG: Final = 8
"""Above so many calls, a later beginning is looked for."""
TOLD: Final = 3
"""A later beginning keeps at least so many calls: one alone would not show what it contradicts."""


class Core(NamedTuple):
    """Calls that cannot be linearized from `initial`. `begun`: the position in the history from which they
    were taken (0: its start); `quiet`: nothing was running there. `minimal`: leaving out any one more
    (soundly) was shown to acquit. `out_of`: if not 0, `calls` are only the last of so many, which are too
    many to tell; they need not contradict each other by themselves."""

    calls: list[Call]
    initial: State
    begun: int
    minimal: bool
    quiet: bool = True
    out_of: int = 0


class _Spent(Exception):
    """The budget for minimizing is used up."""


class Minimizer:
    """`steps` bounds the work of all searches together; cores of more than `long` calls may begin later."""

    def __init__(self, model: Model, steps: int, long: int = LONG) -> None:
        self._model = model
        self._steps = steps
        self._long = long
        self._initial = model.initial

    def core(
        self, calls: Sequence[Call], last: Call, initial: State | Illegal = ILLEGAL, begun: int = 0
    ) -> Core:
        """`last` is the call whose return no order explains; nothing after it is looked at. `initial` and
        `begun`: the calls were taken from that position on, where the state could only be that one."""
        self._initial = self._model.initial if initial is ILLEGAL else initial
        current = cut(calls, last, self._model)
        try:
            current = self._shrink(current)
            if len(current) > self._long:
                later, at = self._begin_later(current)
                current = self._shrink(later) if at else later
                begun = at or begun
        except _Spent as spent:
            return Core(spent.args[0], self._initial, begun, minimal=False)
        return Core(current, self._initial, begun, minimal=True)

    def _shrink(self, calls: list[Call]) -> list[Call]:
        """Leave out chunks of calls, ever smaller, as long as the rest stays impossible."""
        size = max(1, len(calls) // 2)
        while True:
            shrunk = False
            position = 0
            while position < len(calls):
                fewer = self._without(calls, calls[position : position + size])
                if len(fewer) < len(calls) and self._impossible(fewer, calls):
                    calls = fewer
                    shrunk = True
                else:
                    position += size
            if size == 1 and not shrunk:
                return calls
            size = max(1, size // 2)

    def _without(self, calls: list[Call], leave_out: Sequence[Call]) -> list[Call]:
        """`calls` without those of `leave_out` that may be left out, one after the other."""
        rest = list(calls)
        for call in sorted(leave_out, key=self._pure_first):
            others = [each for each in rest if each is not call]
            if may_go(call, others, self._model):
                rest = others
        return rest

    def _pure_first(self, call: Call) -> bool:
        return not self._model.pure(call.f, call.value)

    def _begin_later(self, calls: list[Call]) -> tuple[list[Call], int]:
        """The latest beginning that is forced and from which it is still impossible; 0: there is none."""
        for at in reversed(quiet_positions(calls)):
            later = [call for call in calls if call.end is None or call.end > at]
            if sum(call.end is not None for call in later) < TOLD:
                continue
            states = self._states_at(at, calls)
            if len(states) != 1:
                continue
            search = Search(Problem(later, self._model, states[0]))
            if self._spend(search, calls) is Answer.IMPOSSIBLE:
                self._initial = states[0]
                return later, at
        return calls, 0

    def _states_at(self, at: int, calls: list[Call]) -> list[State]:
        """Every state possible there, if optional calls wait until somebody needs them."""
        before = [call for call in calls if call.start < at]
        problem = Problem(before, self._model, self._initial)
        search = Search(problem, until=len(problem.required))
        self._spend(search, calls)
        return search.reached()

    def _impossible(self, calls: list[Call], best: list[Call]) -> bool:
        problem = Problem(calls, self._model, self._initial)
        ahead = Ahead(problem) if looks_ahead(self._model) else None
        return self._spend(Search(problem, ahead=ahead), best) is Answer.IMPOSSIBLE

    def _spend(self, search: Search, best: list[Call]) -> Answer:
        answer = search.run(self._steps)
        self._steps -= search.steps + len(search.problem.required)
        if answer is Answer.UNDECIDED or self._steps <= 0:
            raise _Spent(best)
        return answer


def cut(calls: Sequence[Call], last: Call, model: Model) -> list[Call]:
    """The calls begun before `last` returned; those that are open then become optional, or go if pure."""
    assert last.end is not None
    return beginning(calls, last.end, model)


def beginning(calls: Sequence[Call], until: int, model: Model) -> list[Call]:
    """The same for any position in the history; what happens there is the last that counts."""
    kept = []
    for call in calls:
        if call.start > until:
            continue
        if call.end is not None and call.end > until:
            if model.pure(call.f, call.value):
                continue
            call = call._replace(end=None)
        kept.append(call)
    return kept


def _earliest_end_after(call: Call, others: Sequence[Call]) -> float:
    """Whatever begins after this position has another call between `call` and itself, in every order."""
    if call.end is None:
        return math.inf
    return min(
        (each.end for each in others if each.end is not None and each.start > call.end), default=math.inf
    )


def may_go(call: Call, others: Sequence[Call], model: Model) -> bool:
    """Whether `others` can be linearized if they can together with `call`: it changes nothing, or in no order
    can the call right after it look at what it left. Where somebody looks at such a state at all, the last
    call that leaves it is kept, or nobody would see what was overwritten."""
    if model.pure(call.f, call.value):
        return True
    left = model.leaves(call.f, call.value)
    if left is ILLEGAL:
        return False
    lookers = [
        each
        for each in others
        if not model.blind(each.f, each.value) and model.step(left, each.f, each.value) is not ILLEGAL
    ]
    if not lookers:
        return True
    if not any(model.leaves(each.f, each.value) == left and _ends_later(each, call) for each in others):
        return False
    shielded = _earliest_end_after(call, others)
    return all(each.start > shielded or (each.end is not None and each.end < call.start) for each in lookers)


def quiet_positions(calls: Sequence[Call]) -> list[int]:
    """Where no required call is open, between two of them: the position of the last completion before."""
    quiet = []
    latest = -1
    for call in sorted((call for call in calls if call.end is not None), key=lambda call: call.start):
        assert call.end is not None
        if 0 <= latest < call.start:
            quiet.append(latest)
        latest = max(latest, call.end)
    return quiet


def _ends_later(call: Call, other: Call) -> bool:
    return call.end is None or (other.end is not None and call.end > other.end)
