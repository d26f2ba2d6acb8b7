"""Directed graphs of small integers, with a reason on each edge, and the cycles in them.

Left out on purpose: everything that only acyclic graphs would need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Final, NamedTuple

DONE: Final = 1 << 62
"""The index of a node that is in no component that is still open."""


class Edge(NamedTuple):
    """`why` is whatever number `add` was given."""

    tail: int
    head: int
    why: int


class Graph:
    """Nodes are 0 to `size` - 1; the edges of each stay in the order in which they were added.

    Edges are in flat lists, sorted by their tails when somebody asks: a list for each node would keep the
    garbage collector busy."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tails: list[int] = []
        self._heads: list[int] = []
        self._whys: list[int] = []
        self._first: list[int] = []
        """By node, the place of its first edge; and where the last one's end."""

    def add(self, tail: int, head: int, why: int) -> None:
        self._first = []
        self._tails.append(tail)
        self._heads.append(head)
        self._whys.append(why)

    def add_all(self, tails: Iterable[int], heads: Iterable[int], whys: Iterable[int]) -> None:
        """The three are equally many."""
        self._first = []
        self._tails += tails
        self._heads += heads
        self._whys += whys

    def _sort(self) -> None:
        if not self._first:
            tails, heads, whys = self._tails, self._heads, self._whys
            by_tail = sorted(range(len(tails)), key=tails.__getitem__)
            self._tails = [tails[place] for place in by_tail]
            self._heads = [heads[place] for place in by_tail]
            self._whys = [whys[place] for place in by_tail]
            counts = [0] * (self._size + 1)
            for tail in tails:
                counts[tail + 1] += 1
            self._first = list(accumulate(counts))

    def order(self) -> list[int]:
        """A topological order of as much as has one: all nodes exactly if there is no cycle."""
        self._sort()
        first, heads = self._first, self._heads
        waits = [0] * self._size
        for head in heads:
            waits[head] += 1
        order = [node for node, count in enumerate(waits) if not count]
        for node in order:
            for head in heads[first[node] : first[node + 1]]:
                waits[head] -= 1
                if not waits[head]:
                    order.append(head)
        return order

    def knots(self) -> list[list[int]]:
        """The strongly connected components of two nodes or more (Tarjan 1972), each sorted, in order of
        their smallest nodes."""
        order = self.order()
        if len(order) == self._size:
            return []
        found = _Tarjan(self._first, self._heads, order).run()
        return sorted(sorted(knot) for knot in found if len(knot) > 1)

    def path(self, start: int, goals: set[int], within: set[int]) -> list[Edge]:
        """A shortest one, of at least one edge, from `start` to one of `goals` through `within`; [] if
        there is none."""
        self._sort()
        came: dict[int, Edge] = {}
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            for place in range(self._first[node], self._first[node + 1]):
                head = self._heads[place]
                if head not in within or head in came:
                    continue
                came[head] = Edge(node, head, self._whys[place])
                if head in goals:
                    return _back(came, start, head)
                waiting.append(head)
        return []


def _back(came: dict[int, Edge], start: int, goal: int) -> list[Edge]:
    path = [came[goal]]
    while path[-1].tail != start:
        path.append(came[path[-1].tail])
    return path[::-1]


class _Tarjan:
    """Without recursion: a component may be as long as the history. `done` is in none."""

    def __init__(self, first: Sequence[int], heads: Sequence[int], done: Iterable[int]) -> None:
        self._first = first
        self._heads = heads
        self._index = [0] * (len(first) - 1)
        """From 1, in the order in which they are entered; 0: not yet."""
        for node in done:
            self._index[node] = DONE
        self._low = [0] * len(self._index)
        self._stack: list[int] = []
        self._found: list[list[int]] = []

    def run(self) -> list[list[int]]:
        entered = 0
        for root, index in enumerate(self._index):
            if not index:
                entered = self._visit(root, entered)
        return self._found

    def _visit(self, root: int, entered: int) -> int:
        """What can be reached from there; how many nodes were entered by then."""
        first, heads, index, low, stack = self._first, self._heads, self._index, self._low, self._stack
        place = [first[root]]
        work = [root]
        entered += 1
        index[root] = low[root] = entered
        stack.append(root)
        while work:
            node = work[-1]
            at = place[-1]
            if at == first[node + 1]:
                work.pop()
                place.pop()
                if work and low[node] < low[work[-1]]:
                    low[work[-1]] = low[node]
                if low[node] == index[node]:
                    self._leave(node)
                continue
            place[-1] += 1
            head = heads[at]
            if not index[head]:
                entered += 1
                index[head] = low[head] = entered
                stack.append(head)
                work.append(head)
                place.append(first[head])
            elif index[head] < low[node]:
                low[node] = index[head]
        return entered

    def _leave(self, node: int) -> None:
        knot: list[int] = []
        while not knot or knot[-1] != node:
            knot.append(self._stack.pop())
            self._index[knot[-1]] = DONE
        self._found.append(knot)
