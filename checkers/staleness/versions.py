"""The smallest k of k-atomicity: every read gives one of the k last writes, in some order that keeps real
time.

k = 1 is decided by zones; k = 2 by limited backtracking (Golab, Hurwitz and Li, "On the
k-Atomicity-Verification Problem", ICDCS 2013, LBT). For more, no polynomial algorithm is known: there is a
lower bound, the most writes that certainly came between a read and the write it saw, and an upper one, what
the better of two orders needs.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import inf
from operator import itemgetter

from checkers.history import Operation
from checkers.staleness.clusters import Cluster, all_fresh


class Behind:
    """One read: how many writes certainly came between it and the one it saw, and the first of these to
    end."""

    __slots__ = ("by", "cluster", "count", "read")

    def __init__(self, read: Operation, cluster: Cluster, count: int, by: Cluster) -> None:
        self.read = read
        self.cluster = cluster
        self.count = count
        self.by = by


def smallest_k(found: Sequence[Cluster], stale: Sequence[Behind], steps: int) -> tuple[int, int]:
    """Between which two numbers it is; `stale` are the reads of `certainly_stale`."""
    if all_fresh((cluster.end, max(cluster.start, cluster.last_read)) for cluster in found):
        return 1, 1
    low = max(2, 1 + max((each.count for each in stale), default=0))
    high = min(_needed(found, by_end=True), _needed(found, by_end=False))
    if low < high and low == 2:
        answer = TwoAtomic(found, steps).decide()
        if answer is not None:
            return (2, 2) if answer else (3, high)
    return low, high


def certainly_stale(found: Sequence[Cluster], only_acknowledged: bool = False) -> list[Behind]:
    """The reads before which another write had ended that began after the one they saw had ended.
    `only_acknowledged`: that another read saw it is no end of a write, as in a regular register (Lamport
    1986)."""

    def end(cluster: Cluster) -> float:
        return cluster.acknowledged if only_acknowledged else cluster.end

    def sooner(one: Cluster, other: Cluster) -> Cluster:
        return other if end(other) < end(one) else one

    starts = [cluster.start for cluster in found]
    soonest: list[Cluster] = list(accumulate(found[::-1], sooner))[::-1]
    by_end = sorted((cluster for cluster in found if end(cluster) < inf), key=end)
    reads = sorted(
        ((read.start, place) for place, cluster in enumerate(found) for read in cluster.reads),
        key=itemgetter(0),
    )
    operations = {read.start: read for cluster in found for read in cluster.reads}
    ended = _Counts(len(found))
    at = 0
    stale = []
    for start, place in reads:
        while at < len(by_end) and end(by_end[at]) < start:
            ended.add(bisect_left(starts, by_end[at].start))
            at += 1
        after = bisect_right(starts, found[place].end)
        count = at - ended.below(after)
        if count:
            stale.append(Behind(operations[start], found[place], count, soonest[after]))
    return stale


def _needed(found: Sequence[Cluster], by_end: bool) -> int:
    """The k of this order of writes, with every read as early in it as it can be."""
    order = sorted(found, key=lambda cluster: (cluster.end, cluster.start) if by_end else (cluster.start, 0))
    place = {id(cluster): number for number, cluster in enumerate(order)}
    ended = sorted((cluster for cluster in found if cluster.end < inf), key=lambda cluster: cluster.end)
    ends = [cluster.end for cluster in ended]
    last = list(accumulate((place[id(cluster)] for cluster in ended), max))
    needed = 1
    for cluster in found:
        if cluster.reads:
            before = bisect_left(ends, cluster.last_read)
            if before:
                needed = max(needed, 1 + last[before - 1] - place[id(cluster)])
    return needed


class _Counts:
    """How many places below a place were added (a Fenwick tree)."""

    def __init__(self, size: int) -> None:
        self._sums = [0] * (size + 1)

    def add(self, place: int) -> None:
        place += 1
        while place < len(self._sums):
            self._sums[place] += 1
            place += place & -place

    def below(self, place: int) -> int:
        count = 0
        while place:
            count += self._sums[place]
            place &= place - 1
        return count


class TwoAtomic:
    """LBT: take clusters away from the end of the order. The reads left behind a write that comes last must
    all be of one other write, which then comes right before it; if there are none, whatever comes before is
    free, and what was chosen need not be reconsidered."""

    def __init__(self, found: Sequence[Cluster], steps: int) -> None:
        self._found = found
        self._steps = steps
        self._by_start = _Chain([cluster.start for cluster in found])
        self._by_end = _Chain([cluster.end for cluster in found])
        reads = [(read.start, place) for place, cluster in enumerate(found) for read in cluster.reads]
        self._owner = [place for _, place in reads]
        self._reads = _Chain([start for start, _ in reads])
        self._own: list[list[int]] = [[] for _ in found]
        for number, place in enumerate(self._owner):
            self._own[place].append(number)

    def decide(self) -> bool | None:
        """None: the budget of steps is used up."""
        while self._by_start.last() is not None:
            if not any(self._epoch(place) for place in self._candidates()):
                return None if self._steps <= 0 else False
            if self._steps <= 0:
                return None
        return True

    def _candidates(self) -> list[int]:
        """Those that could come last: no other one begins after they end."""
        last = self._by_start.last()
        assert last is not None
        return [last, *(place for place in self._by_end.down_to(self._found[last].start) if place != last)]

    def _epoch(self, place: int) -> bool:
        taken: list[int] = []
        while self._steps > 0:
            left = {self._owner[read] for read in self._reads.down_to(self._found[place].end)} - {place}
            self._steps += -1 - len(self._own[place])
            if len(left) > 1:
                break
            self._take(place)
            taken.append(place)
            if not left:
                return True
            place = left.pop()
            latest = self._by_start.last()
            if latest != place and latest is not None and self._found[latest].start > self._found[place].end:
                break
        for each in reversed(taken):
            self._put_back(each)
        return False

    def _take(self, place: int) -> None:
        self._by_start.take(place)
        self._by_end.take(place)
        for read in self._own[place]:
            self._reads.take(read)

    def _put_back(self, place: int) -> None:
        for read in reversed(self._own[place]):
            self._reads.put_back(read)
        self._by_end.put_back(place)
        self._by_start.put_back(place)


class _Chain:
    """Numbers in the order of their values, from which they can be taken, and put back last first."""

    def __init__(self, values: Sequence[float]) -> None:
        self._values = values
        order = sorted(range(len(values)), key=values.__getitem__)
        head = len(values)
        self._before = [head] * (head + 1)
        self._after = [head] * (head + 1)
        for one, other in zip([head, *order], [*order, head], strict=True):
            self._after[one], self._before[other] = other, one

    def last(self) -> int | None:
        last = self._before[-1]
        return None if last == len(self._values) else last

    def down_to(self, value: float) -> list[int]:
        """From the last on, those above the value."""
        found = []
        at = self._before[-1]
        while at < len(self._values) and self._values[at] > value:
            found.append(at)
            at = self._before[at]
        return found

    def take(self, number: int) -> None:
        before, after = self._before[number], self._after[number]
        self._after[before], self._before[after] = after, before

    def put_back(self, number: int) -> None:
        self._after[self._before[number]] = self._before[self._after[number]] = number
