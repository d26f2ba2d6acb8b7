"""Which steps a search takes from a configuration, and which configurations it need not look at.

Five rules leave out orders that need not be looked at. The argument for each, and for all of them together,
is in docs/protocols/linearizability.md; the names below are the ones used there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkers.linear.problem import Problem

Config = tuple[int, int, int, int, int, int]
"""The next call to return; the bits of open calls that are linearized; the bits of open blind calls that need
not be, as another can stand right behind them; the state; the bits of optional calls that were used; and what
the last step asks of the next one: FREE, SEEN, or a state. A first item below zero, ~p, stands for the
optional continuations of a configuration that was expanded already."""

FREE: Final = -1
"""Anything may come next."""
SEEN: Final = -2
"""The last step was a blind call: a call that is not blind comes next."""


class Rules:
    """`seen`: what was looked at, by all but what makes one configuration better than another."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.seen: dict[int | tuple[int, int], tuple[int, ...]] = {}

    def settle(self, config: Config) -> Config:
        """Linearize what costs nothing (rule "pure"), and pass the returns of what is linearized."""
        problem = self.problem
        bits, pures = problem.bits, problem.pures
        p, done, free, state, used, before = config
        row = problem.table.rows[state]
        last = len(problem.required)
        while p < last:
            for bit, kind in pures[p]:
                if not done & bit and row[kind] >= 0:
                    done |= bit
                    before = FREE
            bit = bits[p]
            if done & bit:
                done ^= bit
            else:
                break
            p += 1
        return p, done, free, state, used, before

    def dominated(self, config: Config) -> bool:
        """Whether this configuration, settled, or a better one was seen before (rule "dominance"); if not,
        it is seen now."""
        problem = self.problem
        p, done, free, state, used, before = config
        last = len(problem.required)
        blind = problem.blind_bits[p] if p < last else 0
        width = problem.width
        burden = (used << width | done & blind) << width | (blind & ~done & ~free)
        key = (state * (last + 1) + p) << width | done & ~blind
        seen = self.seen.get(key)
        if seen is not None:
            for other in seen:
                if other & burden == other:
                    return True
        place: int | tuple[int, int] = key
        if before != FREE:
            place = (key, before)
            seen = self.seen.get(place)
            if seen is not None:
                for other in seen:
                    if other & burden == other:
                        return True
        if seen is None:
            self.seen[place] = (burden,)
        else:
            self.seen[place] = (*[other for other in seen if other & burden != burden], burden)
        return False

    def required(self, config: Config) -> list[Config]:
        """The required calls that can come next, the most promising last."""
        problem = self.problem
        p, done, free, state, used, before = config
        rows = problem.table.rows
        row = rows[state]
        blocked = problem.kinds[p]
        urgent = row[blocked] < 0
        choices: list[Config] = []
        helpful: list[Config] = []
        tried: list[int] = []
        for bit, kind in problem.others[p]:
            if done & bit or kind in tried:
                continue  # rule "twins": of equal calls, the one that returns first
            tried.append(kind)
            after = row[kind]
            if after < 0 or (before >= 0 and rows[before][kind] == after):
                continue  # rule "needed": else the call before it could be left out
            child = (p, done | bit, free, after, used, FREE)
            if urgent and rows[after][blocked] >= 0:
                helpful.append(child)
            else:
                choices.append(child)
        if problem.blinds[p]:
            for child in self._blind(config):
                if urgent and rows[child[3]][blocked] >= 0:
                    helpful.append(child)
                else:
                    choices.append(child)
        if problem.crashed[p]:
            deferred = (~p, done, free, state, used, before)
            if urgent and not helpful:
                helpful = [child for child in self.optional(deferred) if rows[child[3]][blocked] >= 0]
            choices.append(deferred)
        choices.reverse()
        choices += reversed(helpful)
        return choices

    def _blind(self, config: Config) -> list[Config]:
        """The blind calls to try: the one about to return, taken or passed, and those whose state another
        open call wants (rule "late")."""
        problem = self.problem
        p, done, free, state, used, before = config
        here = problem.bits[p]
        choices: list[Config] = []
        undone = problem.blind_bits[p] & ~done
        if before == FREE:
            rows = problem.table.rows
            owed = undone & ~free
            wanting = self._wanting(p, done, used)
            tried: list[int] = []
            for bit, kind in problem.blinds[p]:
                if done & bit or kind in tried:
                    continue
                tried.append(kind)
                after = rows[state][kind]
                needless = bool(free & bit) and not owed
                if bit == here and (after == state or not free & bit):
                    choices.append((p, done | bit, undone ^ bit, after, used, FREE))
                    continue
                if bit == here or self._wanted(wanting, after, state if needless else -1):
                    asks = SEEN
                else:
                    continue
                if needless:
                    asks = state
                choices.append((p, done | bit, undone ^ bit, after, used, asks))
        if free & here and (before != FREE or choices[0][3] != state):
            passed = (p, done | here, free ^ here, state, used, before)
            choices.insert(0 if self._suits(p, state) else len(choices), passed)
        return choices

    def _suits(self, p: int, state: int) -> bool:
        """A guess at what to try first: whether the next return of a call that is not blind is legal."""
        follower = self.problem.follower[p]
        return follower < 0 or self.problem.table.rows[state][follower] >= 0

    def _wanting(self, p: int, done: int, used: int) -> list[int]:
        """The kinds of the calls that are not blind and could come next."""
        problem = self.problem
        found = [kind for bit, kind in problem.pures[p] if not done & bit]
        found += [kind for bit, kind in problem.others[p] if not done & bit]
        if problem.crashed[p]:
            started = (1 << problem.crashed[p]) - 1
            for kind, numbers in problem.optional_bits.items():
                if not problem.kind_is_blind[kind] and numbers & ~used & started:
                    found.append(kind)
        return found

    def _wanted(self, wanting: Sequence[int], after: int, state: int) -> bool:
        """Whether one of them is legal in state `after` and, unless `state` is -1, not the same in that."""
        rows = self.problem.table.rows
        row = rows[after]
        for kind in wanting:
            then = row[kind]
            if then >= 0 and (state < 0 or rows[state][kind] != then):
                return True
        return False

    def optional(self, config: Config) -> list[Config]:
        """The optional calls that can come next; the earliest of equal ones (rule "twins")."""
        problem = self.problem
        p, done, free, state, used, before = config
        if p < 0:
            p = ~p
        rows = problem.table.rows
        row = rows[state]
        tried = [kind for bit, kind in problem.others[p] if not done & bit]
        tried += [kind for bit, kind in problem.blinds[p] if not done & bit]
        undone = problem.blind_bits[p] & ~done
        owed = undone & ~free
        started = (1 << problem.crashed[p]) - 1
        wanting = self._wanting(p, done, used) if before == FREE else []
        choices: list[Config] = []
        for kind, numbers in problem.optional_bits.items():
            unused = numbers & ~used & started
            if not unused or kind in tried:
                continue
            bit = unused & -unused
            after = row[kind]
            if problem.kind_is_blind[kind]:
                if before == FREE and self._wanted(wanting, after, -1 if owed else state):
                    asks = SEEN if owed else state
                    choices.append((p, done, undone, after, used | bit, asks))
            elif after >= 0 and after != state and not (before >= 0 and rows[before][kind] == after):
                choices.append((p, done, free, after, used | bit, state))
        choices.reverse()
        return choices
