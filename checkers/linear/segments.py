"""The search over long histories: two searches compete, and what lies behind is forgotten.

The depth-first search is the fastest where some order explains the history, or where orders abound; the sweep
where none does, and in memory that the window bounds. The former begins, and the latter joins in when the
history is not decided in a few steps for each call. A sweep whose window has too many orders waits; a search
that remembers too much begins anew where the sweep has come to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkers.linear.ahead import Ahead, looks_ahead
from checkers.linear.minimize import cut
from checkers.linear.problem import Call, Problem
from checkers.linear.rules import Config
from checkers.linear.search import Answer, Search
from checkers.linear.sweep import Sweep
from checkers.models import State

SPAN: Final = 300_000
"""Configurations that the depth-first search may remember while a sweep goes on."""
FRONT: Final = 20_000
"""Configurations at one return above which a sweep is given up."""
BISECT_STEPS: Final = 100_000
CHUNK_STEPS: Final = 4_096
ALONE_STEPS: Final = 2_000
"""The depth-first search has so many steps, and four for each call, to itself."""


class Segments:
    """As `Search`, for a whole problem. `keep`: nothing is forgotten, so that `path` is whole."""

    def __init__(self, problem: Problem, keep: bool = False) -> None:
        self.problem = problem
        self.steps = 0
        self._alone = ALONE_STEPS + 4 * len(problem.required)
        self._keep = keep
        self._look = Ahead(problem) if looks_ahead(problem.table.model) else None
        self._ahead: Search | None = Search(problem, ahead=self._look)
        self._sweep: Sweep | None = None
        self._deepest: Search | Sweep = self._ahead

    @property
    def configurations(self) -> int:
        return sum(each.configurations for each in (self._ahead, self._sweep) if each is not None)

    @property
    def path(self) -> list[Config]:
        return [] if self._ahead is None else self._ahead.path

    @property
    def deepest(self) -> int:
        return self._deepest.deepest

    def reached(self) -> list[State]:
        return self._deepest.reached()

    def blocked(self, calls: Sequence[Call]) -> int:
        """When it was IMPOSSIBLE: the number of the first required call of `calls`, all of them, whose return
        no order explains. Where it looked ahead, that is found by bisection (and may be a later one, if that
        takes too long)."""
        low = high = self.deepest
        if self._look is not None:
            high = max(low, self._look.furthest)
        while low < high:
            middle = (low + high) // 2
            model = self.problem.table.model
            shorter = Segments(Problem(cut(calls, self.problem.required[middle], model), model))
            answer = shorter.run(BISECT_STEPS)
            if answer is Answer.UNDECIDED:
                return high
            if answer is Answer.IMPOSSIBLE:
                high = middle
            else:
                low = middle + 1
        return high

    def mark(self, before: int) -> tuple[int, list[Config] | None]:
        """A return at least so far from the deepest one, and all the configurations that those before it can
        end in; at the worst, the beginning."""
        marks = [] if self._sweep is None or self._look is not None else self._sweep.marks
        return next((mark for mark in reversed(marks) if mark[0] + before <= self.deepest), (0, None))

    def forget(self) -> None:
        """Give up: free the memory, and only say how far it came."""
        if self._ahead is not None:
            self._ahead.forget()
        self._sweep = None

    def run(self, steps: int) -> Answer:
        """Go on for at most so many steps."""
        while steps > 0:
            for search in self._turns():
                before = search.steps
                answer = search.run(min(max(steps, 1), CHUNK_STEPS))
                spent = search.steps - before
                self.steps += spent
                steps -= spent
                if search.deepest >= self._deepest.deepest:
                    self._deepest = search
                if answer is not Answer.UNDECIDED or spent == 0:
                    return answer
        return Answer.UNDECIDED

    def _turns(self) -> list[Search | Sweep]:
        """Who goes on next."""
        if self._keep or self.steps < self._alone:
            return [] if self._ahead is None else [self._ahead]
        if self._sweep is None:
            self._sweep = Sweep(self.problem, ahead=self._look)
        ahead, sweep = self._ahead, self._sweep
        if sweep.front > FRONT:
            if ahead is None:
                ahead = self._ahead = Search(self.problem, sweep.configs(), ahead=self._look)
            return [ahead]
        if ahead is not None and ahead.configurations > SPAN:
            ahead = self._ahead = None
        return [sweep] if ahead is None else [ahead, sweep]
