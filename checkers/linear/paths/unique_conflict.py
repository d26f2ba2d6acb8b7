"""Why clusters have no order: the conflict that is complete first, and the calls that make it.

A conflict is *complete* at the end of a required call: from there on no order explains the history. The kinds
are those of docs/protocols/unique-values.md, "What can be wrong".
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from checkers.linear.paths.unique_layout import NEVER, NOWHERE, Layout
from checkers.linear.problem import Call
from checkers.models import ILLEGAL, Illegal, Model, State

LONG: Final = 20
"""A core of more calls does not go back to the beginning of its chain, if it has one chain only."""


class Conflict(NamedTuple):
    """`at`: the position of the end at which it is complete. `core`: calls that contradict each other if they
    begin in the state `begins_as` (ILLEGAL: in the model's), by start, and with each of them the one that
    must have brought the value it needs, unless that is `begins_as`."""

    at: int
    core: tuple[Call, ...]
    begins_as: State | Illegal


class Clue(NamedTuple):
    """A conflict by the positions at which some of its calls start or end. If all descend from one cluster,
    the conflict begins there."""

    at: int
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    begins_in: int = NOWHERE


_NONE = Clue(NEVER, (), ())


def earliest_conflict(layout: Layout, model: Model) -> Conflict:
    """Of a layout that has one."""
    descent = _Descent(layout)
    clue = min([*_strays(layout), *_rootless(descent), *_rivals(descent), *_late(descent)], default=_NONE)
    clue = min(clue, _crossing(descent, clue.at))
    return conflict_of(layout, clue, model)


def misplaced(layout: Layout, model: Model) -> Conflict | None:
    """The first observation, by completeness, that must come amid a cluster in whose state it is illegal."""
    earliest = _amid(layout, model)
    first = _NONE
    for index, cluster in zip(layout.reads, layout.read_of, strict=True):
        if cluster in earliest:
            _, _, start, end, _ = layout.calls[index]
            observed_end, observed_start = earliest[cluster]
            if end is not None and start > observed_end:
                ends = (layout.first_end[cluster],)
                first = min(first, Clue(end, (observed_start, start), ends, cluster))
    return None if first is _NONE else conflict_of(layout, first, model)


def _amid(layout: Layout, model: Model) -> dict[int, tuple[int, int]]:
    """By cluster, the end and start of the first observation that is illegal in its state, and began after a
    call of the cluster had ended."""
    forward = sorted(
        (end, start, cluster)
        for cluster, (end, start) in enumerate(zip(layout.first_end, layout.last_start, strict=True))
        if end < start
    )
    found: dict[int, tuple[int, int]] = {}
    for index in layout.observations:
        f, value, start, end, _ = layout.calls[index]
        rank = bisect_left(forward, (start,)) - 1
        if rank >= 0 and end is not None:
            cluster = forward[rank][2]
            if model.step(layout.state(cluster, model), f, value) is ILLEGAL:
                found[cluster] = min(found.get(cluster, (NEVER, 0)), (end, start))
    return found


class _Descent:
    """Clusters by descent. `after`: the changes of a cluster's value; `chain_of`: the head that a cluster
    descends from, if there is one; `rootless`: one cluster of each family that has no head; `known`: where it
    is known that a cluster's origin happened, the first end in it and in what descends from it."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.known = layout.first_end.copy()
        self.after: dict[int, list[int]] = {}
        for cluster, before in layout.before.items():
            self.after.setdefault(before, []).append(cluster)
        self.chain_of = {head: head for head in layout.heads}
        self._descend(layout.heads)
        self.rootless = self.after.pop(NOWHERE, [])
        seen = self._descend(self.rootless)
        for cluster in layout.before:
            if cluster not in self.chain_of and cluster not in seen:
                circle = self._circle(cluster)
                seen |= self._descend(circle)
                first = min(self.known[each] for each in circle)
                for each in circle:
                    self.known[each] = first
                self.rootless.append(circle[0])

    def _descend(self, elders: list[int]) -> set[int]:
        """All that descend from `elders`, with them; the young learn their chain, the old what is known."""
        line = [elder for elder in elders if elder in self.after]
        seen = set(elders)
        for cluster in line:
            for young in self.after.get(cluster, ()):
                if young not in seen:
                    seen.add(young)
                    line.append(young)
                    if cluster in self.chain_of:
                        self.chain_of[young] = self.chain_of[cluster]
        for cluster in reversed(line):
            before = self.layout.before.get(cluster, NOWHERE)
            if before in seen:
                self.known[before] = min(self.known[before], self.known[cluster])
        return seen

    def _circle(self, cluster: int) -> list[int]:
        """The circle of changes that `cluster` descends from."""
        passed = set()
        while cluster not in passed:
            passed.add(cluster)
            cluster = self.layout.before[cluster]
        circle = [cluster]
        while self.layout.before[circle[-1]] != cluster:
            circle.append(self.layout.before[circle[-1]])
        return circle


def _strays(layout: Layout) -> Iterator[Clue]:
    """A read of a value that nobody brought."""
    for index in layout.strays:
        end = layout.calls[index].end
        assert end is not None
        yield Clue(end, (), (end,))


def _rootless(descent: _Descent) -> Iterator[Clue]:
    """A change of a value that nobody brought, or that came of this change itself."""
    for cluster in descent.rootless:
        yield Clue(descent.known[cluster], (), (descent.known[cluster],))


def _rivals(descent: _Descent) -> Iterator[Clue]:
    """Two changes of one value."""
    for elder, young in descent.after.items():
        if len(young) > 1:
            one, other = sorted(descent.known[cluster] for cluster in young)[:2]
            yield Clue(other, (), (one, other), elder)


def _late(descent: _Descent) -> Iterator[Clue]:
    """A call that began when what must come after it in its chain had ended: an origin, or a read."""
    layout, known, after = descent.layout, descent.known, descent.after
    for cluster, (begun, first) in enumerate(zip(layout.begun, known, strict=True)):
        if first < begun:
            yield Clue(first, (begun,), (first,), layout.before.get(cluster, NOWHERE))
    if not after:
        return
    for index, cluster in zip(layout.reads, layout.read_of, strict=True):
        if cluster in after and cluster in descent.chain_of:
            _, _, start, end, _ = layout.calls[index]
            ended = _nearest(descent, cluster, start)
            if ended is not None and end is not None:
                yield Clue(end, (start,), (ended,), cluster)


def _nearest(descent: _Descent, cluster: int, before: int) -> int | None:
    """The first end of the nearest cluster that descends from this one and has one before that position."""
    while cluster in descent.after:
        cluster = min(descent.after[cluster], key=descent.known.__getitem__)
        if descent.known[cluster] > before:
            return None
        if descent.layout.first_end[cluster] < before:
            return descent.layout.first_end[cluster]
    return None


def _crossing(descent: _Descent, until: int) -> Clue:
    """Two chains of which each has a call that ended before one of the other began; only what is complete
    before `until` counts. Calls are taken as they become known; `latest` holds, by chain, in the order of
    their first ends, the latest start so far."""
    crossed = _crossed(descent)
    first_ends = [end for end, _ in crossed]
    rank_of = {head: rank for rank, (_, head) in enumerate(crossed)}
    latest = _Latest(len(crossed))
    latest_known = [-1] * len(crossed)
    for at, start, head in _events(descent, rank_of, until):
        rank = rank_of[head]
        if start <= latest[rank]:
            continue
        latest[rank] = start
        latest_known[rank] = at
        others = bisect_left(first_ends, start)
        found = max(latest.most(0, min(rank, others)), latest.most(rank + 1, others))
        if found > first_ends[rank]:
            other = latest.index(found)
            ends = (first_ends[rank], first_ends[other], at, latest_known[other])
            return Clue(at, (start, found), ends)
    return _NONE


def _crossed(descent: _Descent) -> list[tuple[int, int]]:
    """The chains that cross another one in the end, by their first end: that end, and the head."""
    last_start = descent.layout.last_start.copy()
    for cluster, head in descent.chain_of.items():
        last_start[head] = max(last_start[head], last_start[cluster])
    first_end = descent.known
    zones = sorted((min(first_end[head], last_start[head]), head) for head in descent.layout.heads)
    heads = [head for _, head in zones]
    so_far = accumulate((last_start[head] for head in heads), max, initial=-1)
    still = list(accumulate((first_end[head] for head in reversed(heads)), min, initial=NEVER))[-2::-1]
    return sorted(
        (first_end[head], head)
        for head, latest, earliest in zip(heads, so_far, still, strict=False)
        if first_end[head] < latest or earliest < last_start[head]
    )


def _events(descent: _Descent, heads: dict[int, int], until: int) -> list[tuple[int, int, int]]:
    """Where it is known of a call that it happened, where it started, and its chain; of these chains."""
    layout, known, chain_of = descent.layout, descent.known, descent.chain_of
    events = [
        (known[cluster], layout.begun[cluster], head) for cluster, head in chain_of.items() if head in heads
    ]
    for index, cluster in zip(layout.reads, layout.read_of, strict=True):
        head = chain_of.get(cluster, NOWHERE)
        if head in heads:
            _, _, start, end, _ = layout.calls[index]
            assert end is not None
            events.append((end, start, head))
    return sorted(event for event in events if event[0] < until)


class _Latest:
    """Numbers by rank, -1 at first, and the largest of any range; a tree, so both in O(log n)."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tree = [-1] * (2 * size)

    def __getitem__(self, rank: int) -> int:
        return self._tree[self._size + rank]

    def __setitem__(self, rank: int, number: int) -> None:
        """Numbers only grow."""
        node = self._size + rank
        while node and self._tree[node] < number:
            self._tree[node] = number
            node //= 2

    def index(self, number: int) -> int:
        return self._tree.index(number, self._size) - self._size

    def most(self, low: int, high: int) -> int:
        """Of ranks from `low` to below `high`; -1 if there is none."""
        low, high = low + self._size, high + self._size
        found = -1
        while low < high:
            if low & 1:
                found = max(found, self._tree[low])
                low += 1
            if high & 1:
                high -= 1
                found = max(found, self._tree[high])
            low //= 2
            high //= 2
        return found


def conflict_of(layout: Layout, clue: Clue, model: Model) -> Conflict:
    core = _core(layout, clue, NOWHERE)
    if len(core) <= LONG or clue.begins_in == NOWHERE:
        return Conflict(clue.at, core, ILLEGAL)
    return Conflict(clue.at, _core(layout, clue, clue.begins_in), layout.state(clue.begins_in, model))


def _core(layout: Layout, clue: Clue, begins_in: int) -> tuple[Call, ...]:
    """The calls of the clue, and the origins of what they need, and so on, but not that of `begins_in`."""
    calls, origins = layout.calls, layout.origins
    starts, ends = set(clue.starts), set(clue.ends)
    needs = {origins[cluster]: before for cluster, before in layout.before.items()}
    needs.update(zip(layout.reads, layout.read_of, strict=True))
    found = {index for index, call in enumerate(calls) if call.start in starts or call.end in ends}
    pending = sorted(found)
    while pending:
        cluster = needs.get(pending.pop(), NOWHERE)
        if cluster > 0 and cluster != begins_in and origins[cluster] not in found:
            found.add(origins[cluster])
            pending.append(origins[cluster])
    return tuple([calls[index] for index in sorted(found)])
