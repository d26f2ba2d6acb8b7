"""What a change of the layout moves: the ring's arcs whose keepers differ, who must pull them from whom, and
how evenly a ring is spread. All of it is exact, from the lengths of the arcs; no keys are drawn."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from store.core.ownership.layout import Placement, pullers
from store.core.ownership.ring import Ring

CIRCLE: Final = 1 << 64


class Arc(NamedTuple):
    """The positions in [`low`, `high`), around the circle if `low` >= `high`, and who keeps the keys there
    that have a certain number of replicas: before and after."""

    low: int
    high: int
    old: tuple[str, ...]
    new: tuple[str, ...]

    @property
    def share(self) -> float:
        """Of the whole circle."""
        return ((self.high - self.low) % CIRCLE or CIRCLE) / CIRCLE

    @property
    def pullers(self) -> tuple[str, ...]:
        return pullers(self.old, self.new)


def arcs(before: Ring, after: Ring, old_n: int, new_n: int) -> Iterator[Arc]:
    """The whole circle, cut wherever either ring is."""
    points = sorted({*before.positions, *after.positions})
    for low, high in zip(points, [*points[1:], points[0]], strict=True):
        yield Arc(low, high, _keepers(before, low, old_n), _keepers(after, low, new_n))


@lru_cache(maxsize=32)
def moving(place: Placement) -> tuple[Arc, ...]:
    """Those that somebody must pull, for each number of replicas in use."""
    if not place.joint:
        return ()
    before, after = place.rings
    return tuple(
        [
            arc
            for old_n, new_n in place.counts()
            for arc in arcs(before, after, old_n, new_n)
            if arc.old != arc.new and arc.pullers
        ]
    )


def pulling(place: Placement) -> tuple[str, ...]:
    """The nodes that have something to pull, in the order of the layout."""
    nodes = {node for arc in moving(place) for node in arc.pullers}
    return tuple([name for name in place.names if name in nodes])


def balance(place: Placement) -> dict[str, float]:
    """Each owner's share of all copies of keys without a bucket; together 1."""
    ring = place.rings[0]
    shares = dict.fromkeys(ring.nodes, 0.0)
    for arc in arcs(ring, ring, place.default.n, place.default.n):
        for node in arc.old:
            shares[node] += arc.share / len(arc.old)
    return shares


def moved_share(before: Placement, after: Placement) -> float:
    """The share of all copies of keys without a bucket that `after`'s owners have to get from others."""
    moved = kept = 0.0
    for arc in arcs(before.rings[0], after.rings[-1], before.default.n, after.default.n):
        gained = sum([node not in arc.old for node in arc.new])
        moved += arc.share * gained
        kept += arc.share * (len(arc.new) - gained)
    return moved / (moved + kept)


def _keepers(ring: Ring, at: int, n: int) -> tuple[str, ...]:
    return ring.successors(bisect_right(ring.positions, at) % len(ring.positions), n)
