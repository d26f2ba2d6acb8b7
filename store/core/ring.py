"""Consistent hashing with virtual nodes (Karger et al. 1997; DeCandia et al. 2007, Dynamo, section 4.2-4.3).

Every node owns `vnodes` points on a circle of 64-bit hashes; a key's preference list is the first
`replication` *distinct* nodes met clockwise from the key's own hash.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from hashlib import blake2b


def position(text: str) -> int:
    """Where `text` lies on the circle: 0 .. 2**64-1, the same in every process for ever."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


class Ring:
    """An immutable placement of keys on nodes. `digest` names it: rings with equal digests agree."""

    def __init__(self, nodes: Sequence[str], replication: int, vnodes: int = 64) -> None:
        if len(set(nodes)) != len(nodes):
            raise ValueError(f"node names must be distinct, got {', '.join(nodes)}")
        if not 1 <= replication <= len(nodes):
            raise ValueError(
                f"replication must be 1 to {len(nodes)} (the number of nodes), got {replication}"
            )
        if vnodes < 1:
            raise ValueError(f"vnodes must be at least 1, got {vnodes}")
        self.nodes = tuple(nodes)
        self.replication = replication
        self.vnodes = vnodes
        points = sorted((position(f"{node}#{i}"), node) for node in nodes for i in range(vnodes))
        self._positions = [at for at, _ in points]
        owners = [node for _, node in points]
        self._lists = [_successors(owners, start, replication) for start in range(len(owners))]
        shape = f"{replication}/{vnodes}/{','.join(sorted(nodes))}"
        self.digest = blake2b(shape.encode(), digest_size=8).hexdigest()

    def preference(self, key: str) -> tuple[str, ...]:
        """The nodes that keep `key`, the first choice first."""
        at = bisect_right(self._positions, position(key))
        return self._lists[at % len(self._lists)]


def _successors(owners: list[str], start: int, count: int) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for step in range(len(owners)):
        found[owners[(start + step) % len(owners)]] = None
        if len(found) == count:
            break
    return tuple(found)
