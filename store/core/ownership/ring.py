"""Consistent hashing with virtual nodes (Karger et al. 1997; DeCandia et al. 2007, Dynamo, section 4.2-4.3).

Every node owns `vnodes` points on a circle of 64-bit hashes; a key's preference list is the first *distinct*
nodes met clockwise from the key's own hash.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=1 << 14)
def position(text: str) -> int:
    """Where `text` lies on the circle: 0 .. 2**64-1, the same in every process for ever."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring:
    """An immutable placement of keys on nodes; raises ValueError for nodes that make no ring."""

    def __init__(self, nodes: Sequence[str], vnodes: int = 64) -> None:
        if not nodes:
            raise ValueError("a ring needs at least 1 node")
        if len(set(nodes)) != len(nodes):
            raise ValueError(f"node names must be distinct, got {', '.join(nodes)}")
        if vnodes < 1:
            raise ValueError(f"vnodes must be at least 1, got {vnodes}")
        self.nodes = tuple(nodes)
        points = sorted((position(f"{node}#{i}"), node) for node in nodes for i in range(vnodes))
        self.positions = [at for at, _ in points]
        """Where each arc ends; arc i is [positions[i-1], positions[i]), and the first goes around."""
        self._owners = [node for _, node in points]
        self._lists: dict[tuple[int, int], tuple[str, ...]] = {}

    def arc(self, key: str) -> int:
        """The number of the arc in which `key` lies."""
        return bisect_right(self.positions, position(key)) % len(self.positions)

    def preference(self, key: str, count: int) -> tuple[str, ...]:
        """The nodes that keep `key`, the first choice first; all nodes if they are fewer than `count`."""
        return self.successors(self.arc(key), count)

    def successors(self, arc: int, count: int) -> tuple[str, ...]:
        """The first `count` distinct nodes from `arc` on."""
        found = self._lists.get((arc, count))
        if found is None:
            found = self._lists[arc, count] = self._walk(arc, count)
        return found

    def _walk(self, arc: int, count: int) -> tuple[str, ...]:
        found: dict[str, None] = {}
        for step in range(len(self._owners)):
            found[self._owners[(arc + step) % len(self._owners)]] = None
            if len(found) == count:
                break
        return tuple(found)
