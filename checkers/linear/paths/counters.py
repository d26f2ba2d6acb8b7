"""Polynomial path for the counter: O(n log n) where all additions are of the same amount.

Such additions are interchangeable, and a read tells how many came before it. So each of them has to be given
a turn within what the reads leave open: scheduling unit jobs by their deadlines (Glover, *Maximum matching in
a convex bipartite graph*, 1967). With different amounts it is a subset-sum problem, which is left to the
search. The argument is in docs/protocols/collections.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from typing import Final

from checkers.linear.paths.base import Decision
from checkers.linear.paths.floating import with_floating
from checkers.linear.problem import Call
from checkers.models import Model

BEYOND: Final = 1 << 62
"""After every event."""


def counter(calls: Sequence[Call], model: Model) -> Decision | None:
    """Decides histories whose additions, if any, are all of the same amount: of one, if there is a
    fetch-and-increment. If one of those is optional although its answer is known, all `add`s must be, too.
    The core of an invalid history is mostly all of it."""
    adds = [call for call in calls if call.f == "add" and call.value != 0]
    fetches = [call for call in calls if call.f == "fetch-and-increment"]
    spare = [call for call in fetches if call.end is None]
    amounts = {call.value for call in adds} | ({1} if fetches else set())
    if len(amounts) > 1 or (spare and any(call.end is not None for call in adds)):
        return None
    turns = _Turns(adds, amounts.pop() if amounts else 1, model.initial)
    tellers = [call for call in calls if call.f != "add" and call.end is not None]
    impossible = Decision(None, core=tuple(calls))
    wrong = next((call for call in tellers if not turns.tell(call)), None)
    if wrong is not None:
        return impossible if turns.can_be(wrong) else Decision(None, core=(wrong,))
    if not turns.few(len(adds) + len(fetches)):
        return impossible
    turns.narrow()
    turns.fill(spare)
    order = turns.order() if turns.possible() else None
    if order is None:
        return impossible
    idle = [call for call in calls if call.f == "add" and call.value == 0 and call.end is not None]
    return Decision(with_floating(order, [(call.start, [call]) for call in idle]))


class _Turns:
    """The v-th change of the counter (from 1) takes place between `earliest[v]` and `latest[v]`: after the
    beginning of all that saw fewer, before the end of all that saw as many. The last entry is for all
    changes that nobody saw."""

    def __init__(self, adds: list[Call], amount: int, initial: int) -> None:
        self._adds = adds
        self._amount = amount
        self._initial = initial
        self._reads: dict[int, list[Call]] = {}
        self._fetches: dict[int, Call] = {}
        self._seen = 0
        self.earliest: list[int] = []
        self.latest: list[int] = []

    def can_be(self, call: Call) -> bool:
        """Whether some number of additions leads to what it says."""
        if call.value is None:
            return False
        count, rest = divmod(call.value - self._initial, self._amount)
        return bool(count >= 0 and rest == 0)

    def tell(self, call: Call) -> bool:
        """What a read or a fetch-and-increment says; False if it cannot be, or another said it, too."""
        if not self.can_be(call):
            return False
        count = (call.value - self._initial) // self._amount
        if call.f == "read":
            self._reads.setdefault(count, []).append(call)
            self._seen = max(self._seen, count)
            return True
        self._seen = max(self._seen, count + 1)
        return self._fetches.setdefault(count + 1, call) is call

    def few(self, changes: int) -> bool:
        """No more changes were seen than so many."""
        return self._seen <= changes

    def narrow(self) -> None:
        """What all that was told says of each turn."""
        starts = [-1] * (self._seen + 2)
        ends = [BEYOND] * (self._seen + 2)
        for count, reads in self._reads.items():
            for read in reads:
                starts[count + 1] = max(starts[count + 1], read.start)
                ends[count] = min(ends[count], _end(read))
        for turn, call in self._fetches.items():
            starts[turn] = max(starts[turn], call.start)
            ends[turn] = min(ends[turn], _end(call))
        for turn in range(1, self._seen + 2):
            starts[turn] = max(starts[turn], starts[turn - 1])
        for turn in range(self._seen, -1, -1):
            ends[turn] = min(ends[turn], ends[turn + 1])
        self.earliest, self.latest = starts, ends

    def fill(self, spare: list[Call]) -> None:
        """Optional increments with a known answer take their turn, if somebody saw it and nobody else did."""
        for call in sorted(spare, key=_start):
            turn = 0 if call.value is None else call.value - self._initial + 1
            if 0 < turn <= self._seen and turn not in self._fetches and call.start < self.latest[turn]:
                self._fetches[turn] = call

    def possible(self) -> bool:
        return all(start < end for start, end in zip(self.earliest, self.latest, strict=True))

    def order(self) -> list[Call] | None:
        """Turn by turn, the addition that must be done first of those that have begun."""
        chosen = self._chosen()
        if chosen is None:
            return None
        chosen.sort(key=_first)
        order: list[Call] = []
        taken = 0
        for turn in range(self._seen + 1):
            if turn in self._fetches:
                order.append(self._fetches[turn])
            elif turn:
                order.append(chosen[taken][1])
                taken += 1
            order += self._reads.get(turn, ())
        return order + [call for _, call in chosen[taken:]]

    def _chosen(self) -> list[tuple[int, Call]] | None:
        """The additions that take place, and where; those that nobody saw come last."""
        waiting = sorted(self._adds, key=_start, reverse=True)
        open_adds: list[tuple[int, int, Call]] = []
        chosen: list[tuple[int, Call]] = []
        for turn in range(1, self._seen + 1):
            if turn in self._fetches:
                continue
            while waiting and waiting[-1].start < self.latest[turn]:
                call = waiting.pop()
                heappush(open_adds, (_end(call), call.start, call))
            if not open_adds or open_adds[0][0] < self.earliest[turn]:
                return None
            _, start, call = heappop(open_adds)
            chosen.append((max(start, self.earliest[turn]), call))
        rest = [call for call in [*waiting, *(call for *_, call in open_adds)] if call.end is not None]
        if any(_end(call) < self.earliest[-1] for call in rest):
            return None
        return chosen + [(max(call.start, self.earliest[-1]), call) for call in rest]


def _end(call: Call) -> int:
    return BEYOND if call.end is None else call.end


def _start(call: Call) -> int:
    return call.start


def _first(chosen: tuple[int, Call]) -> int:
    return chosen[0]
