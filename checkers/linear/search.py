"""Is there an order of one object's calls that explains every answer? A memoised depth-first search.

After Wing and Gong (1993, section 4) and Lowe (2017, section 4): a configuration is which calls have been
linearized and the state they lead to; what failed once is not tried again. On top of that, five rules leave
out orders that need not be looked at. The argument for each, and for all of them together, is in
docs/protocols/linearizability.md; the names below are the ones used there.
"""

from __future__ import annotations

from enum import Enum

from checkers.linear.problem import Problem
from checkers.models import State


class Answer(Enum):
    LINEARIZABLE = "linearizable"
    IMPOSSIBLE = "impossible"
    UNDECIDED = "undecided"


Config = tuple[int, int, int, int, int]
"""The next call to return; the bits of open calls that are linearized; the state; the bits of optional calls
that were used; and, if an optional call was the last step, the state before it (else -1). A first item below
zero, ~p, stands for the optional continuations of a configuration that was expanded already."""


class Search:
    """A search that can be stopped and resumed. `deepest` is how many calls, by return, some order explains;
    when the answer is IMPOSSIBLE no order explains the return of `problem.required[deepest]`.

    `every_end`: do not stop at the first order that explains everything, but answer only when all are
    known; `reached()` then holds every state that can be had without a last, optional call."""

    def __init__(self, problem: Problem, every_end: bool = False) -> None:
        self.problem = problem
        self._every_end = every_end
        self._forgotten = False
        self.steps = 0
        self.deepest = 0
        self._reached: set[int] = {problem.initial}
        self._stack: list[list[Config]] = [[(0, 0, problem.initial, 0, -1)]]
        self._seen: dict[int, tuple[int, ...]] = {}

    @property
    def configurations(self) -> int:
        """How many, and how many states, are remembered: what the search costs in memory."""
        return len(self._seen) + len(self.problem.table.states)

    def reached(self) -> list[State]:
        """Some states that the object can be in after the `deepest` first calls, in a fixed order."""
        return [self.problem.table.states[number] for number in sorted(self._reached)]

    def forget(self) -> None:
        """Give up: free the memory and stay UNDECIDED. What was found so far can still be asked for."""
        self._forgotten = True
        self._stack = []
        self._seen = {}

    def run(self, steps: int) -> Answer:
        """Go on for at most so many steps."""
        if self._forgotten:
            return Answer.UNDECIDED
        stack = self._stack
        self.steps += steps
        while steps > 0:
            if not stack:
                self.steps -= steps
                explained = self.deepest == len(self.problem.required)
                return Answer.LINEARIZABLE if explained else Answer.IMPOSSIBLE
            choices = stack[-1]
            if not choices:
                stack.pop()
                continue
            steps -= 1
            config = choices.pop()
            if config[0] < 0:
                stack.append(self._optional(config))
                continue
            settled = self._settle(config)
            if settled is None:
                continue
            if settled[0] == len(self.problem.required):
                if self._every_end:
                    continue
                self.steps -= steps
                return Answer.LINEARIZABLE
            stack.append(self._required(settled))
        return Answer.UNDECIDED

    def _settle(self, config: Config) -> Config | None:
        """Linearize what costs nothing (rule "pure"), pass the returns of what is linearized, and look
        whether this configuration, or a better one, was seen before (rule "dominance")."""
        problem = self.problem
        bits, pures = problem.bits, problem.pures
        p, mask, state, used, before = config
        row = problem.table.rows[state]
        last = len(problem.required)
        while p < last:
            for bit, kind in pures[p]:
                if not mask & bit and row[kind] >= 0:
                    mask |= bit
                    before = -1
            if not mask & bits[p]:
                break
            while mask & bits[p]:
                mask ^= bits[p]
                p += 1
        if p >= self.deepest:
            self._note(p, state)
        key = (state * (last + 1) + p) << problem.width | mask
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = (used,)
        else:
            for other in seen:
                if other & used == other:
                    return None
            self._seen[key] = (*[other for other in seen if other & used != used], used)
        return p, mask, state, used, before

    def _required(self, config: Config) -> list[Config]:
        """The required calls that can come next, the most promising last."""
        problem = self.problem
        p, mask, state, used, before = config
        rows = problem.table.rows
        row = rows[state]
        blocked = problem.kinds[p]
        urgent = row[blocked] < 0
        choices: list[Config] = []
        helpful: list[Config] = []
        tried: list[int] = []
        for bit, kind in problem.windows[p]:
            if mask & bit or kind in tried:
                continue  # rule "twins": of equal calls, the one that returns first
            tried.append(kind)
            after = row[kind]
            if after < 0 or (before >= 0 and rows[before][kind] == after):
                continue  # rule "needed": else the optional call before it could be left out
            child = (p, mask | bit, after, used, -1)
            if urgent and rows[after][blocked] >= 0:
                helpful.append(child)
            else:
                choices.append(child)
        if problem.crashed[p]:
            deferred = (~p, mask, state, used, before)
            if urgent and not helpful:
                helpful = [child for child in self._optional(deferred) if rows[child[2]][blocked] >= 0]
            choices.append(deferred)
        choices.reverse()
        choices += reversed(helpful)
        return choices

    def _optional(self, config: Config) -> list[Config]:
        """The optional calls that can come next; the earliest of equal ones (rule "twins")."""
        problem = self.problem
        p, mask, state, used, before = config
        if p < 0:
            p = ~p
        rows = problem.table.rows
        row = rows[state]
        tried = [kind for bit, kind in problem.windows[p] if not mask & bit]
        choices: list[Config] = []
        for number, kind in enumerate(problem.optional_kinds[: problem.crashed[p]]):
            if used >> number & 1 or kind in tried:
                continue
            tried.append(kind)
            after = row[kind]
            if after < 0 or after == state or (before >= 0 and rows[before][kind] == after):
                continue
            choices.append((p, mask, after, used | 1 << number, state))
        choices.reverse()
        return choices

    def _note(self, p: int, state: int) -> None:
        if p > self.deepest:
            self.deepest = p
            self._reached.clear()
        self._reached.add(state)
