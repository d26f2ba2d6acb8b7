"""Hybrid logical clock (Kulkarni et al. 2014, figure 5): stamps that follow causality and stay near the
wall clock. Leaves out the paper's bound on drift: a node whose clock runs far ahead drags the others along,
which is a behaviour that users of last-write-wins should get to see.
"""

from __future__ import annotations

from store.core.messages import Cell, Stamp


class HybridClock:
    """Gives stamps of `node`. Starts from nothing after a restart: if the wall clock went back meanwhile,
    its writes lose to older ones until the clock has caught up, and a stamp can even repeat (`newer` orders
    such twins by their values)."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._last = (0, 0)

    def stamp(self, wall_us: int) -> Stamp:
        """A stamp above all that were given or observed before."""
        micros, counter = self._last
        self._last = (wall_us, 0) if wall_us > micros else (micros, counter + 1)
        return (*self._last, self._node)

    def observe(self, stamp: Stamp) -> None:
        """Later stamps will be above this one."""
        if stamp[:2] > self._last:
            self._last = stamp[:2]


def newer(a: Cell | None, b: Cell | None) -> Cell | None:
    """The one that wins: commutative, associative and idempotent, so replicas that saw the same cells in any
    order agree."""
    if a is None or b is None:
        return b if a is None else a
    return a if _rank(a) >= _rank(b) else b


def _rank(cell: Cell) -> tuple[Stamp, bool, bytes]:
    return cell.stamp, cell.value is None, cell.value or b""
