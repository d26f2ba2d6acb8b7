"""Looks for one order of all accesses that keeps each session's order and explains every read.

The problem is NP-complete even where it is known who saw whose write (Gibbons and Korach, *Testing shared
memories*, SIAM J. Comput. 1997), so there is a budget. What keeps the search short is that a value, once it
is overwritten, does not come back: a key whose value is still to be read is locked. So a read that can be
done is done at once, and so are a cas that is the last to see a value, and a write that nobody saw. Choices
are left only where several writes that somebody saw could come next. What is done tells all that matters of
a state, and a set that came to nothing is not tried twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import Enum
from heapq import heappop, heappush
from typing import Final

from checkers.accesses import INITIAL, Access

DEAD_BYTES_MAX: Final = 200_000_000


class Answer(Enum):
    FOUND = "found"
    IMPOSSIBLE = "impossible"
    UNDECIDED = "undecided"


class Search:
    """`accesses` by number, each from 0; `musts` are pairs of writes of which the first must come first;
    `priority`: of two writes that could come next, the one with the smaller number is tried first."""

    def __init__(
        self, accesses: Sequence[Access], musts: Iterable[tuple[int, int]], priority: Sequence[int]
    ) -> None:
        self._accesses = accesses
        self._priority = priority
        self._after: list[list[int]] = [[] for _ in accesses]
        self._waits = [0] * len(accesses)
        self._unread: dict[object, int] = {}
        """By write, or by key for its initial value, how many are still to see it."""
        self._current: dict[str | None, object] = {}
        for access in accesses:
            self._current[access.key] = ("initial", access.key)
            if access.previous >= 0:
                self._must(access.previous, access.number)
            if access.seen >= INITIAL:
                seen = self._seen(access)
                self._unread[seen] = self._unread.get(seen, 0) + 1
            if access.seen >= 0:
                self._must(access.seen, access.number)
        for first, second in set(musts):
            self._must(first, second)
        self._ready = {number for number, waits in enumerate(self._waits) if not waits}
        self._parked: dict[object, list[int]] = {}
        """What is ready and has to wait: reads and cas by what they saw, unread writes by ("idle", key)."""
        self._contested: list[tuple[int, int]] = []
        """A heap of the other writes that are ready, and of some that are no more, by priority."""
        self._done: list[tuple[int, object]] = []
        """In order, each with what its key held before."""
        self._mask = 0
        self._dead: set[int] = set()
        self.steps = 0
        self.deepest: list[int] = []
        """The longest order that explains what it has of the history."""

    def run(self, steps: int) -> Answer:
        self._settle(self._ready)
        trail: list[tuple[int, set[int]]] = [(len(self._done), set())]
        while True:
            depth, tried = trail[-1]
            whole, spent = len(self._done) == len(self._accesses), self.steps >= steps
            if whole or spent or len(self._done) > depth:
                self._remember()
            if whole or spent:
                return Answer.FOUND if whole else Answer.UNDECIDED
            self._undo(depth)
            choice = self._choice(tried)
            if choice is None:
                self._remember()
                if len(self._dead) * len(self._accesses) < 8 * DEAD_BYTES_MAX:
                    self._dead.add(self._mask)
                trail.pop()
                if not trail:
                    return Answer.IMPOSSIBLE
                continue
            tried.add(choice)
            self._settle(self._do(choice))
            if self._mask not in self._dead:
                trail.append((len(self._done), set()))

    def _remember(self) -> None:
        if len(self._done) > len(self.deepest):
            self.deepest = [number for number, _ in self._done]

    def blocked(self) -> list[int]:
        """The reads that came next after `deepest`, and that nothing could explain."""
        done = set(self.deepest)
        return [
            access.number
            for access in self._accesses
            if access.number not in done
            and access.seen >= INITIAL
            and (access.previous < 0 or access.previous in done)
        ]

    def _must(self, first: int, second: int) -> None:
        self._after[first].append(second)
        self._waits[second] += 1

    def _seen(self, access: Access) -> object:
        return access.seen if access.seen >= 0 else ("initial", access.key)

    def _may(self, access: Access) -> bool:
        held = self._current[access.key]
        unread = self._unread.get(held, 0)
        if access.seen >= INITIAL:
            return held == self._seen(access) and (not access.writes or unread == 1)
        return not access.writes or not unread

    def _park(self, number: int) -> None:
        access = self._accesses[number]
        if access.seen >= INITIAL:
            self._parked.setdefault(self._seen(access), []).append(number)
        elif self._unread.get(number, 0):
            heappush(self._contested, (self._priority[number], number))
        else:
            self._parked.setdefault(("idle", access.key), []).append(number)

    def _forced(self, access: Access) -> bool:
        """It can be done without any loss."""
        return access.seen >= INITIAL or not access.writes or not self._unread.get(access.number, 0)

    def _settle(self, fresh: Iterable[int]) -> None:
        """Do whatever can be done without loss; only what became possible since is looked at again."""
        waiting = sorted(fresh)
        for number in waiting:
            access = self._accesses[number]
            if number not in self._ready:
                continue
            if self._forced(access) and self._may(access):
                waiting += self._do(number)
            else:
                self._park(number)

    def _do(self, number: int) -> list[int]:
        """What that may have made possible, no longer parked."""
        self.steps += 1
        access = self._accesses[number]
        key = access.key
        self._ready.discard(number)
        self._done.append((number, self._current[key]))
        self._mask |= 1 << number
        if access.seen >= INITIAL:
            self._unread[self._seen(access)] -= 1
        if access.writes:
            self._current[key] = number
        fresh = []
        for after in self._after[number]:
            self._waits[after] -= 1
            if not self._waits[after]:
                self._ready.add(after)
                fresh.append(after)
        held = self._current[key]
        unread = self._unread.get(held, 0)
        if access.writes or unread == 1:
            fresh += self._parked.pop(held, ())
        if not unread:
            fresh += self._parked.pop(("idle", key), ())
        return fresh

    def _undo(self, depth: int) -> None:
        while len(self._done) > depth:
            number, held = self._done.pop()
            access = self._accesses[number]
            for after in self._after[number]:
                if not self._waits[after]:
                    self._ready.discard(after)
                self._waits[after] += 1
            self._ready.add(number)
            self._mask ^= 1 << number
            self._current[access.key] = held
            if access.seen >= INITIAL:
                self._unread[self._seen(access)] += 1
            self._park(number)

    def _choice(self, tried: set[int]) -> int | None:
        """Of the writes that could come next and have not been tried here, the first."""
        aside, chosen = [], None
        while self._contested and chosen is None:
            entry = heappop(self._contested)
            number = entry[1]
            if number in self._ready:
                if number not in tried and self._may(self._accesses[number]):
                    chosen = number
                else:
                    aside.append(entry)
        for entry in aside:
            heappush(self._contested, entry)
        return chosen
