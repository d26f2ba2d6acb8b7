"""Every configuration that the first returns can end in: breadth first, return by return.

Where a depth-first search remembers all it has seen, this one remembers no more than what is open at one
return, and forgets the rest: memory is bounded by the window, and so is the work for each return, whatever
was wrong before. The price is that it looks at all orders even where the first one would do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final

from checkers.linear.ahead import Ahead
from checkers.linear.problem import Problem
from checkers.linear.rules import FREE, Config, Rules
from checkers.linear.search import Answer
from checkers.models import State

MARKS: Final = 3
STRIDE: Final = 1_000
"""A mark is kept about every so many returns."""


class Sweep:
    """Goes on from `starts` until all configurations that explain the first `until` returns are known (by
    default: all returns); they are `ends` then. `deepest` and `reached` as in `Search`."""

    def __init__(
        self,
        problem: Problem,
        starts: Sequence[Config] | None = None,
        until: int | None = None,
        ahead: Ahead | None = None,
    ) -> None:
        self.problem = problem
        self.steps = 0
        self.ends: list[Config] = []
        self._until = len(problem.required) if until is None else until
        self._rules = Rules(problem)
        self._ahead = ahead
        self._p = 0
        self._now: list[Config] = []
        self._later: dict[int, dict[Config, None]] = {}
        self._reached: list[int] = []
        self.marks: deque[tuple[int, list[Config]]] = deque(maxlen=MARKS)
        """Some returns that lie behind, and all configurations that the ones before can end in."""
        for start in [(0, 0, 0, problem.initial, 0, FREE)] if starts is None else starts:
            self._put(self._rules.settle(start))
        self._next()

    @property
    def deepest(self) -> int:
        return self._p

    @property
    def configurations(self) -> int:
        return self.front + len(self.problem.table.states)

    @property
    def front(self) -> int:
        """How many configurations there are at the present return, and beyond."""
        return len(self._rules.seen) + len(self._now) + sum(map(len, self._later.values()))

    def configs(self) -> list[Config]:
        """What is not expanded yet: a search can begin in these."""
        waiting = [config for p in sorted(self._later) for config in self._later[p]]
        return self._now + waiting

    def reached(self) -> list[State]:
        return [self.problem.table.states[number] for number in sorted(set(self._reached))]

    def run(self, steps: int) -> Answer:
        """Go on for at most so many steps."""
        rules = self._rules
        self.steps += steps
        while steps > 0:
            while not self._now:
                if not self._later:
                    self.steps -= steps
                    return Answer.LINEARIZABLE if self.ends else Answer.IMPOSSIBLE
                self._next()
            steps -= 1
            config = self._now.pop()
            if config[0] < 0:
                children = rules.optional(config)
            else:
                children = rules.required(config)
            for child in children:
                if child[0] < 0:
                    self._now.append(child)
                    continue
                settled = rules.settle(child)
                if settled[0] == self._p:
                    self._reached.append(settled[3])
                    if not rules.dominated(settled) and not self._hopeless(settled):
                        self._now.append(settled)
                else:
                    self._put(settled)
        return Answer.UNDECIDED

    def _hopeless(self, config: Config) -> bool:
        return self._ahead is not None and config[0] < self._until and self._ahead.hopeless(config)

    def _put(self, config: Config) -> None:
        self._later.setdefault(config[0], {})[config] = None

    def _next(self) -> None:
        """On to the next return at which anything waits, those with the fewest optional calls first."""
        self._p = min(self._later)
        self._rules.seen.clear()
        found = sorted(self._later.pop(self._p), key=_used)
        self._reached = [config[3] for config in found]
        found = [
            config for config in found if not self._rules.dominated(config) and not self._hopeless(config)
        ]
        if not self._later and (not self.marks or self._p >= self.marks[-1][0] + STRIDE):
            self.marks.append((self._p, found))
        if self._p >= self._until:
            self.ends += found
        else:
            self._now = found[::-1]


def _used(config: Config) -> int:
    return config[4].bit_count()
