"""Is there an order of one object's calls that explains every answer? A memoised depth-first search.

After Wing and Gong (1993, section 4) and Lowe (2017, section 4): a configuration is which calls have been
linearized and the state they lead to; what failed once is not tried again. Which steps there are is for
`checkers.linear.rules` to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum

from checkers.linear.ahead import Ahead
from checkers.linear.problem import Problem
from checkers.linear.rules import FREE, Config, Rules
from checkers.models import State


class Answer(Enum):
    LINEARIZABLE = "linearizable"
    IMPOSSIBLE = "impossible"
    UNDECIDED = "undecided"


class Search:
    """A search that can be stopped and resumed. `deepest` is how many calls, by return, some order explains;
    when the answer is IMPOSSIBLE no order explains the return of `problem.required[deepest]`.

    It begins in `starts` (by default in the initial state with nothing done). `until`: do not stop at the
    first order that explains everything, but answer only when all are known that explain the first `until`
    returns; `ends` are then all the configurations in which they can end, up to optional calls that nobody
    needs yet. With `ahead`, configurations that are hopeless are left out; `deepest` may then be less than
    some order explains."""

    def __init__(
        self,
        problem: Problem,
        starts: Sequence[Config] | None = None,
        until: int | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self.problem = problem
        self._until = until
        self._forgotten = False
        self.ends: list[Config] = []
        self.steps = 0
        starts = [(0, 0, 0, problem.initial, 0, FREE)] if starts is None else starts
        self.deepest = min((max(start[0], ~start[0]) for start in starts), default=0)
        self._reached: set[int] = {start[3] for start in starts}
        self._stack: list[list[Config]] = [list(reversed(starts))]
        self._path: list[Config] = []
        self._rules = Rules(problem)
        self._ahead = ahead

    @property
    def configurations(self) -> int:
        """How many, and how many states, are remembered: what the search costs in memory."""
        return len(self._rules.seen) + len(self.problem.table.states)

    @property
    def path(self) -> list[Config]:
        """The steps to the order that was found, each configuration as it was before it was settled."""
        return [config for config in self._path if config[0] >= 0]

    def reached(self) -> list[State]:
        """Some states that the object can be in after the `deepest` first calls, in a fixed order."""
        return [self.problem.table.states[number] for number in sorted(self._reached)]

    def forget(self) -> None:
        """Give up: free the memory and stay UNDECIDED. What was found so far can still be asked for."""
        self._forgotten = True
        self._stack = []
        self._path = []
        self._rules.seen = {}

    def run(self, steps: int) -> Answer:
        """Go on for at most so many steps."""
        if self._forgotten:
            return Answer.UNDECIDED
        stack, path, rules = self._stack, self._path, self._rules
        ahead = self._ahead
        last = len(self.problem.required)
        until = last if self._until is None else self._until
        self.steps += steps
        while steps > 0:
            if not stack:
                self.steps -= steps
                return Answer.LINEARIZABLE if self.ends else Answer.IMPOSSIBLE
            choices = stack[-1]
            if not choices:
                stack.pop()
                if path:
                    path.pop()
                continue
            steps -= 1
            config = choices.pop()
            if config[0] < 0:
                path.append(config)
                stack.append(rules.optional(config))
                continue
            settled = rules.settle(config)
            if settled[0] >= self.deepest:
                self._note(settled[0], settled[3])
            if rules.dominated(settled) or (
                ahead is not None and settled[0] < until and ahead.hopeless(settled)
            ):
                continue
            if settled[0] >= until:
                self.ends.append(settled)
                if self._until is not None:
                    continue
                path.append(config)
                self._stack = []
                self.steps -= steps
                return Answer.LINEARIZABLE
            path.append(config)
            stack.append(rules.required(settled))
        return Answer.UNDECIDED

    def _note(self, p: int, state: int) -> None:
        if p > self.deepest:
            self.deepest = p
            self._reached.clear()
        self._reached.add(state)
