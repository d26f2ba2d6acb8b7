"""Directed graphs of small integers, with a reason on each edge, and the cycles in them.

Left out on purpose: everything that only acyclic graphs would need.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple


class Edge(NamedTuple):
    """`why` is whatever number `add` was given."""

    tail: int
    head: int
    why: int


class Graph:
    """Nodes are 0 to `size` - 1; the edges of each stay in the order in which they were added."""

    def __init__(self, size: int) -> None:
        self.heads: Final[list[list[int]]] = [[] for _ in range(size)]
        self.whys: Final[list[list[int]]] = [[] for _ in range(size)]

    def add(self, tail: int, head: int, why: int) -> None:
        self.heads[tail].append(head)
        self.whys[tail].append(why)

    def node(self) -> int:
        """A new one."""
        self.heads.append([])
        self.whys.append([])
        return len(self.heads) - 1

    def order(self) -> list[int]:
        """A topological order of as much as has one: all nodes exactly if there is no cycle."""
        waits = [0] * len(self.heads)
        for heads in self.heads:
            for head in heads:
                waits[head] += 1
        order = [node for node, count in enumerate(waits) if not count]
        for node in order:
            for head in self.heads[node]:
                waits[head] -= 1
                if not waits[head]:
                    order.append(head)
        return order

    def knots(self) -> list[list[int]]:
        """The strongly connected components of two nodes or more (Tarjan 1972), each sorted, in order of
        their smallest nodes."""
        done = set(self.order())
        if len(done) == len(self.heads):
            return []
        found = _Tarjan(self.heads, done).run()
        return sorted(sorted(knot) for knot in found if len(knot) > 1)

    def path(self, start: int, goals: set[int], within: set[int]) -> list[Edge]:
        """A shortest one, of at least one edge, from `start` to one of `goals` through `within`; [] if
        there is none."""
        came: dict[int, Edge] = {}
        waiting = deque([start])
        while waiting:
            node = waiting.popleft()
            for head, why in zip(self.heads[node], self.whys[node], strict=True):
                if head not in within or head in came:
                    continue
                came[head] = Edge(node, head, why)
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
    """Without recursion: a component may be as long as the history."""

    def __init__(self, heads: Sequence[Sequence[int]], done: set[int]) -> None:
        self._heads = heads
        self._done = done
        self._index: dict[int, int] = {}
        self._low: dict[int, int] = {}
        self._stack: list[int] = []
        self._found: list[list[int]] = []

    def run(self) -> list[list[int]]:
        for root in range(len(self._heads)):
            if root not in self._done and root not in self._index:
                self._visit(root)
        return self._found

    def _visit(self, root: int) -> None:
        work = [(self._enter(root), iter(self._heads[root]))]
        while work:
            node, heads = work[-1]
            head = next(heads, None)
            if head is None:
                work.pop()
                if work:
                    parent = work[-1][0]
                    self._low[parent] = min(self._low[parent], self._low[node])
                self._leave(node)
            elif head in self._done:
                continue
            elif head in self._index:
                self._low[node] = min(self._low[node], self._index[head])
            else:
                work.append((self._enter(head), iter(self._heads[head])))

    def _enter(self, node: int) -> int:
        self._index[node] = self._low[node] = len(self._index)
        self._stack.append(node)
        return node

    def _leave(self, node: int) -> None:
        if self._low[node] != self._index[node]:
            return
        knot: list[int] = []
        while not knot or knot[-1] != node:
            knot.append(self._stack.pop())
        self._done.update(knot)
        self._found.append(knot)
