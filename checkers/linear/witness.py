"""From the steps of a search that succeeded to the linearization that they stand for.

The search names only the calls whose effect somebody may see. What it passed over is put where it belongs:
pure calls where they became legal, and a blind call that was passed right before the last blind call that
was taken while it was open.
"""

from __future__ import annotations

from collections.abc import Sequence

from checkers.linear.problem import Call, Problem
from checkers.linear.rules import Config


def linearization(problem: Problem, path: Sequence[Config]) -> list[Call]:
    """`path`: the configurations before each is settled, to one that is complete. Where it begins later than
    at the beginning, calls that were linearized before are left out."""
    replay = _Replay(problem, path[0])
    replay.settle()
    for config in path[1:]:
        replay.step(config)
        replay.settle()
    return [call for block in replay.blocks for call in block]


class _Replay:
    def __init__(self, problem: Problem, start: Config) -> None:
        self.blocks: list[list[Call]] = []
        self._problem = problem
        self._p, self._done, _, self._state, self._used, _ = start
        self._owners: dict[int, int] = {}
        """The open calls by bit."""
        self._behind: dict[int, list[Call]] = {}
        """For an open blind call, by bit, the block of the last blind call taken since it began."""
        self._by_start = sorted(range(len(problem.required)), key=lambda p: problem.required[p].start)
        self._started = 0
        self._open()

    def _open(self) -> None:
        problem = self._problem
        end = problem.required[self._p].end if self._p < len(problem.required) else None
        while self._started < len(self._by_start) and end is not None:
            number = self._by_start[self._started]
            if problem.required[number].start > end:
                break
            self._owners[problem.bits[number]] = number
            self._behind.pop(problem.bits[number], None)
            self._started += 1

    def settle(self) -> None:
        problem = self._problem
        row = problem.table.rows[self._state]
        while self._p < len(problem.required):
            for bit, kind in problem.pures[self._p]:
                if not self._done & bit and row[kind] >= 0:
                    self._done |= bit
                    self.blocks.append([problem.required[self._owners[bit]]])
            if not self._done & problem.bits[self._p]:
                return
            self._done ^= problem.bits[self._p]
            self._p += 1
            self._open()

    def step(self, config: Config) -> None:
        problem = self._problem
        _, done, _, state, used, _ = config
        bit = done & ~self._done
        if used != self._used:
            number = (used ^ self._used).bit_length() - 1
            call, kind = problem.optional[number], problem.optional_kinds[number]
        else:
            call, kind = problem.required[self._owners[bit]], problem.kinds[self._owners[bit]]
        blind = problem.kind_is_blind[kind] and used == self._used
        if blind and bit == problem.bits[self._p] and problem.table.rows[self._state][kind] != state:
            if bit in self._behind:
                self._behind[bit].insert(0, call)
        else:
            block = [call]
            self.blocks.append(block)
            if problem.kind_is_blind[kind]:
                for each, _ in problem.blinds[self._p]:
                    if not done & each:
                        self._behind[each] = block
        self._done, self._state, self._used = done, state, used
