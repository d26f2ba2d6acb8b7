"""Looking ahead: a state that can no longer become what somebody is going to need.

Where calls only ever add to a state (appends), the answers that are still to come tell what the state has to
grow into: a beginning of theirs. A model says so by `becomes`; one that does not is not looked ahead for.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from checkers.linear.problem import Problem
from checkers.linear.rules import Config
from checkers.models import ILLEGAL, Model, State

FOLLOWERS: Final = 8
"""So many of the next required calls that need one state are looked at."""


class _Need(NamedTuple):
    """A required call that needs one state. It is not done if `bit` is not set. `resets` and `optional` are
    the bits of calls that could still bring about a state that becomes that one, and could come before it."""

    number: int
    bit: int
    state: State
    resets: int
    optional: int


class Ahead:
    """`furthest`: the highest number of a required call that a configuration was given up for."""

    def __init__(self, problem: Problem) -> None:
        self.furthest = -1
        self._problem = problem
        self._needs: dict[int, tuple[_Need, ...]] = {}
        self._becomes: dict[tuple[int, State], bool] = {}

    def hopeless(self, config: Config) -> bool:
        """Whether some required call can never come, whatever comes before it."""
        p, done, _, state, used, _ = config
        needs = self._needs.get(p)
        if needs is None:
            needs = self._needs[p] = tuple(self._look(p))
        for number, bit, needed, resets, optional in needs:
            if not done & bit and not resets & ~done and not optional & ~used:
                key = (state, needed)
                becomes = self._becomes.get(key)
                if becomes is None:
                    problem = self._problem
                    becomes = problem.table.model.becomes(problem.table.states[state], needed)
                    self._becomes[key] = becomes
                if not becomes:
                    self.furthest = max(self.furthest, number)
                    return True
        return False

    def _look(self, p: int) -> list[_Need]:
        problem, model = self._problem, self._problem.table.model
        found: list[_Need] = []
        for number in range(p, len(problem.required)):
            call = problem.required[number]
            needed = model.needs(call.f, call.value)
            if needed is not ILLEGAL:
                need = self._need(p, number, needed)
                if need is not None:
                    found.append(need)
                if len(found) == FOLLOWERS or number > p + 4 * FOLLOWERS:
                    break
        return found

    def _need(self, p: int, number: int, needed: State) -> _Need | None:
        """None if a call that has not even begun at return `p` could bring the state about."""
        problem = self._problem
        begun, end = problem.required[p].end, problem.required[number].end
        assert begun is not None
        assert end is not None
        resets = optional = 0
        for other in problem.started_by(p, number):
            if other != number and self._leads(problem.kinds[other], needed):
                if problem.required[other].start > begun:
                    return None
                resets |= problem.bits[other]
        for other in range(problem.crashed[number]):
            if self._leads(problem.optional_kinds[other], needed):
                optional |= 1 << other
        bit = problem.bits[number] if problem.required[number].start < begun else 0
        return _Need(number, bit, needed, resets, optional)

    def _leads(self, kind: int, needed: State) -> bool:
        """Whether that kind of call leaves a state from which appending leads to the needed one."""
        f, value = self._problem.table.kinds[kind]
        left = self._problem.table.model.leaves(f, value)
        return left is not ILLEGAL and self._problem.table.model.becomes(left, needed)


def looks_ahead(model: Model) -> bool:
    return type(model).becomes is not Model.becomes
