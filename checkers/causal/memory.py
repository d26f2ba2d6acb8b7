"""Causal memory (CM): each session can put all that it knows in one order that explains what it read.

Bouajjani et al. (POPL 2017), section 4.3: the smallest order of a session that contains causality, and in
which a write of a key that is before a read of another write is before that write too. It is computed to
the end with sets of accesses as bits, in O(n^3) bit operations at the worst, so for so many accesses only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkers.accesses import INITIAL, UNSEEN, Access
from checkers.causal.order import Pattern, Why, ancestors

ACCESSES_MAX: Final = 2_000


def causal_memory(accesses: Sequence[Access], order: Sequence[int]) -> Pattern | None:
    """The bad pattern of the first session that has one; `order` is one that causality allows."""
    for own in _sessions(accesses):
        reads = [number for number in own if accesses[number].seen != UNSEEN]
        if reads:
            known = list(ancestors(accesses, order, own))
            pattern = _View(accesses, known).saturate(reads)
            if pattern is not None:
                return pattern
    return None


def _sessions(accesses: Sequence[Access]) -> list[list[int]]:
    """What happened for certain, by process; and each indeterminate cas with what came before it, as nothing
    comes after it."""
    certain: dict[int | str, list[int]] = {}
    ends = []
    for access in accesses:
        own = certain.setdefault(access.process, [])
        if access.certain:
            own.append(access.number)
        elif access.seen != UNSEEN:
            ends.append([*own, access.number])
    return [*certain.values(), *ends]


class _View:
    """One session's. Sets of accesses are integers, by place in `known`."""

    def __init__(self, accesses: Sequence[Access], known: Sequence[int]) -> None:
        self._accesses = accesses
        self._known = known
        self._place = {number: place for place, number in enumerate(known)}
        self._direct: list[int] = []
        self._writes: dict[str | None, int] = {}
        for place, number in enumerate(known):
            access = accesses[number]
            found = [self._place[each] for each in (access.previous, access.seen) if each >= 0]
            self._direct.append(sum(1 << each for each in set(found)))
            if access.writes:
                self._writes[access.key] = self._writes.get(access.key, 0) | 1 << place
        self._before = [0] * len(known)
        """What is before each, in the order as far as it is known."""

    def saturate(self, reads: Sequence[int]) -> Pattern | None:
        while True:
            stuck = self._close()
            if stuck is not None:
                return self._circle(stuck)
            grown = False
            for read in reads:
                access, place = self._accesses[read], self._place[read]
                newer = self._writes.get(access.key, 0) & self._before[place]
                if access.seen == INITIAL:
                    if newer:
                        write = self._known[(newer & -newer).bit_length() - 1]
                        told = [
                            (write, "comes, in the order of that session, before"),
                            (read, "which did not see"),
                        ]
                        return Pattern("WriteHBInitRead", "read the initial value", told)
                    continue
                seen = self._place[access.seen]
                newer &= ~(self._before[seen] | 1 << seen)
                if newer:
                    self._direct[seen] |= newer
                    grown = True
            if not grown:
                return None

    def _close(self) -> int | None:
        """Work out `_before`; a place that is on or behind a circle, if there is one."""
        self._before = [0] * len(self._known)
        state = bytearray(len(self._known))
        for root in range(len(self._known)):
            stack = [root]
            while stack:
                place = stack[-1]
                if state[place] == 2:
                    stack.pop()
                    continue
                state[place] = 1
                missing = self._direct[place]
                before = missing
                pending = []
                while missing:
                    low = missing & -missing
                    each = low.bit_length() - 1
                    if state[each] == 1:
                        return each
                    if state[each] == 0:
                        pending.append(each)
                    before |= self._before[each]
                    missing ^= low
                    missing &= ~self._before[each]
                if pending:
                    stack.append(pending[0])
                    continue
                self._before[place] = before
                state[place] = 2
                stack.pop()
        return None

    def _circle(self, start: int) -> Pattern:
        """From `start` back along what comes directly before, until a place comes again."""
        came = {start: start}
        waiting = [start]
        for place in waiting:
            direct = self._direct[place]
            while direct:
                low = direct & -direct
                each = low.bit_length() - 1
                direct ^= low
                if each == start:
                    return self._told(start, place, came)
                if each not in came:
                    came[each] = place
                    waiting.append(each)
        raise AssertionError("a circle that is none")

    def _told(self, start: int, last: int, came: dict[int, int]) -> Pattern:
        circle = [start]
        place = last
        while place != start:
            circle.append(place)
            place = came[place]
        told = [
            (self._known[place], self._why(place, after))
            for place, after in zip(circle, [*circle[1:], start], strict=True)
        ]
        return Pattern("CyclicHB", "no order of what one session knew explains what it read", told)

    def _why(self, place: int, after: int) -> str:
        access = self._accesses[self._known[after]]
        if access.previous == self._known[place]:
            return Why.SESSION.value
        return Why.SEEN.value if access.seen == self._known[place] else Why.CONFLICT.value
