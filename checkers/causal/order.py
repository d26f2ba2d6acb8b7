"""The causal order, (session order and who saw whose write)+, as vector clocks; what it convicts by itself
(CC), and with an order of conflicting writes that all share (CCv).

A chain is the writes of a process; a write of which nobody knows when it happened is a chain of its own. So
the newest writes of a key that an access knows are one for each chain, and of those only the chains of
which the access knows more than the write that it saw are looked at.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import Enum
from functools import cached_property
from itertools import pairwise
from typing import Any, Final, NamedTuple

from checkers.accesses import INITIAL, UNSEEN, Access, Accesses, counterexample, in_words
from checkers.clocks import NOTHING, Clock, Clocks
from checkers.graph import Edge, Graph


class Why(Enum):
    """Why one access comes before another."""

    SESSION = "then, in the same session,"
    SEEN = "whose write was seen by"
    CONFLICT = "so comes, in an order that explains what was read, before"


WHYS: Final = tuple(Why)
OrderOf = Callable[[Accesses], "CausalOrder"]
"""The causal order of a reading, by whoever may have made it before."""
READERS: Final = len(WHYS)
"""An edge's `why` from here on: a conflict, and the number of the read that knew of both writes."""


class Pattern(NamedTuple):
    """A bad pattern; `circle` are its accesses, each with why it comes before the next (the last: before
    the first)."""

    name: str
    sentence: str
    circle: list[tuple[int, str]]


class CausalOrder:
    """`pattern`: the first that contradicts CC; `conflicts`: two writes of a key and a read that saw the
    second and knew the first, apart from those that are in causal order anyway."""

    def __init__(self, accesses: Sequence[Access]) -> None:
        self.accesses: Final = accesses
        self.pattern: Pattern | None = None
        self.conflicts: list[tuple[int, int, int]] = []
        self.graph = Graph(len(accesses))
        for access in accesses:
            if access.previous >= 0:
                self.graph.add(access.previous, access.number, WHYS.index(Why.SESSION))
            if access.seen >= 0:
                self.graph.add(access.seen, access.number, WHYS.index(Why.SEEN))
        self._order = self.graph.order()
        if len(self._order) < len(accesses):
            self.pattern = self._cyclic("CyclicCO", "each comes before the next by causality")
            return
        self._chain, self._place, self._clocks = _chains(accesses)
        self._by_key: dict[str | None, dict[int, tuple[list[int], list[int]]]] = {}
        """By key and chain, the places of writes and their numbers."""
        self._index()
        self._knew: list[Clock] = [NOTHING] * len(accesses)
        """What each write knew before it; what others knew is forgotten again, and at last all."""
        self._looked_at: dict[int, Clock] = {}
        """By write, what it or anybody who saw it knew: a reader who knows less tells nothing new."""
        self._walk()
        self._knew, self._looked_at = [], {}

    def in_order(self) -> list[int]:
        """All accesses, each after what it depends on."""
        return self._order

    @cached_property
    def divergence(self) -> Pattern | None:
        """CCv: a circle of causality and conflicts, if there is one."""
        for first, second, reader in self.conflicts:
            self.graph.add(first, second, READERS + reader)
        if len(self.graph.order()) == len(self.accesses):
            return None
        return self._cyclic(
            "CyclicCF", "no order of the conflicting writes that all could share explains the reads"
        )

    def _index(self) -> None:
        for access in self.accesses:
            if access.writes:
                number = access.number
                chains = self._by_key.setdefault(access.key, {})
                places, numbers = chains.setdefault(self._chain[number], ([], []))
                places.append(self._place[number])
                numbers.append(number)

    def _walk(self) -> None:
        clocks, latest = self._clocks, [NOTHING] * len(self.accesses)
        uses = Counter(access.previous for access in self.accesses)
        for number in self._order:
            access = self.accesses[number]
            knows = latest[access.previous] if access.previous >= 0 else NOTHING
            uses[access.previous] -= 1
            if (
                access.previous >= 0
                and not uses[access.previous]
                and not self.accesses[access.previous].writes
            ):
                latest[access.previous] = NOTHING
            if access.seen >= 0:
                knows = clocks.join(knows, latest[access.seen])
            if access.seen != UNSEEN and self.pattern is None:
                self.pattern = self._contradiction(access, knows, latest)
            if access.writes:
                self._knew[number] = knows
                knows = clocks.with_event(knows, self._chain[number], self._place[number])
            latest[number] = knows

    def _contradiction(self, read: Access, knows: Clock, latest: Sequence[Clock]) -> Pattern | None:
        clocks, chains, seen = self._clocks, self._by_key.get(read.key, {}), read.seen
        if seen == INITIAL:
            for chain, (places, numbers) in chains.items():
                at = bisect_right(places, clocks.at(knows, chain))
                if at:
                    return self._stale("WriteCOInitRead", [numbers[at - 1]], read)
            return None
        looked_at = self._looked_at.get(seen, latest[seen])
        looks_at = self._looked_at[seen] = clocks.join(looked_at, knows)
        newest: list[int] = []
        for chain, place in clocks.ahead(looks_at, looked_at):
            if chain in chains:
                places, numbers = chains[chain]
                at = bisect_right(places, place)
                if at and places[at - 1] > clocks.at(looked_at, chain):
                    newest.append(numbers[at - 1])
        told = NOTHING
        for newer in sorted(newest, reverse=True):
            if clocks.at(told, self._chain[newer]) >= self._place[newer]:
                continue  # another one comes after it, and says all that it could
            if clocks.at(self._knew[newer], self._chain[seen]) >= self._place[seen]:
                return self._stale("WriteCORead", [seen, newer], read)
            told = clocks.join(told, self._knew[newer])
            self.conflicts.append((newer, seen, read.number))
        return None

    def _stale(self, name: str, writes: list[int], read: Access) -> Pattern:
        """By causality from write to write to read; the read is before the last of these, by what it saw."""
        stops = [*writes, read.number]
        circle: list[tuple[int, str]] = []
        for first, second in pairwise(stops):
            circle += self._told(self.graph.path(first, {second}, set(self._order)))
        circle.append((read.number, "which did not see"))
        old = "the initial value" if len(writes) == 1 else "a value that was overwritten before, by causality"
        return Pattern(name, f"read {old}", circle)

    def _cyclic(self, name: str, sentence: str) -> Pattern:
        knot = min(self.graph.knots(), key=len)
        starts = knot[:50]
        circles = [self.graph.path(start, {start}, set(knot)) for start in starts]
        return Pattern(name, sentence, self._told(min(circles, key=len)))

    def _told(self, path: Sequence[Edge]) -> list[tuple[int, str]]:
        told: list[tuple[int, str]] = []
        for edge in path:
            if edge.why < READERS:
                told.append((edge.tail, WHYS[edge.why].value))
            else:
                told.append((edge.tail, "known to the session of, but not seen by,"))
                told.append(
                    (edge.why - READERS, f"which saw the next write: the one before {Why.CONFLICT.value}")
                )
        return told


def causal_order(judged: Accesses) -> CausalOrder:
    return CausalOrder(judged.all)


def _chains(accesses: Sequence[Access]) -> tuple[list[int], list[int], Clocks]:
    """By access the chain and, from 1, the place in it (of reads, 0)."""
    chains: dict[object, int] = {}
    lengths: list[int] = []
    chain, place = [0] * len(accesses), [0] * len(accesses)
    for access in accesses:
        if not access.writes:
            continue
        name = access.process if access.certain else (access.number,)
        number = chains.setdefault(name, len(chains))
        if number == len(lengths):
            lengths.append(0)
        lengths[number] += 1
        chain[access.number], place[access.number] = number, lengths[number]
    return chain, place, Clocks(len(chains), max(lengths, default=0))


def ancestors(accesses: Sequence[Access], order: Sequence[int], of: Sequence[int]) -> Iterator[int]:
    """These and all that they causally depend on, in `order`."""
    wanted = set(of)
    for number in reversed(order):
        if number in wanted:
            access = accesses[number]
            wanted.update(each for each in (access.previous, access.seen) if each >= 0)
    return (number for number in order if number in wanted)


def pattern_details(pattern: Pattern, accesses: Sequence[Access]) -> dict[str, Any]:
    """For a verdict: `anomaly`, `key`, `explanation`, `operations`."""
    operations = [accesses[number].operation for number, _ in pattern.circle]
    accused = max(operations, key=lambda each: each.start if each.end is None else each.end)
    sentences = [f"{in_words(accused)}: {pattern.name}, {pattern.sentence}"]
    following = [*operations[1:], operations[0]]
    for (_, why), operation, after in zip(pattern.circle, operations, following, strict=True):
        sentences.append(f"{in_words(operation)}, {why} {in_words(after)}")
    return {
        "anomaly": pattern.name,
        "key": accused.invoke.key,
        "explanation": sentences,
        "operations": counterexample(operations),
    }
