"""Hybrid logical clock (Kulkarni et al. 2014, figure 5): stamps that follow causality and stay near the
wall clock. Leaves out the paper's bound on drift: a node whose clock runs far ahead drags the others along,
which is a behaviour that users of last-write-wins should get to see.

Stamps rise over a restart too, even if the wall clock was set back meanwhile: a bound on them is kept on
disk, a little ahead, and a restarted clock waits until the wall clock has passed it; or, if that was set
back, goes on from there (docs/protocols/data.md).
"""

from __future__ import annotations

from typing import Final

from store.core.journal import Journal
from store.core.machine import DamagedRecord
from store.core.messages import Note, Stamp

CLOCK: Final = "m/clock"
AHEAD_US: Final = 500_000
"""How far ahead of what is given out the bound is written down; anew when half of it is used up."""


class HybridClock:
    """Gives stamps of `node`; `journal` keeps the bound."""

    def __init__(self, node: str, journal: Journal) -> None:
        self._node = node
        self._journal = journal
        try:
            held = journal.get(CLOCK)
        except DamagedRecord:
            held = None  # then only the wall clock tells where to go on
        self._bound = self._durable = int(held.content) if isinstance(held, Note) else 0
        self._last = (self._bound, 0)
        self._begun_at = self._bound
        self._waits = True

    def ready(self, wall_us: int) -> bool:
        """Whether the next stamp is below a bound that is durable, so that it may leave the node at once; if
        not, it will be as soon as the disk has answered, or a restarted clock has waited. Not needed for a
        stamp that only leaves in a record which is put into the journal after it was given."""
        if self._waits:
            # To go on from the bound would be to run ahead of clocks that are right.
            if self._begun_at - AHEAD_US <= wall_us < self._begun_at:
                return False
            self._waits = False
        at = max(wall_us, self._last[0])
        self._raise_bound(at)
        return at < self._durable

    def stamp(self, wall_us: int) -> Stamp:
        """A stamp above all that were given or observed before."""
        micros, counter = self._last
        self._last = (wall_us, 0) if wall_us > micros else (micros, counter + 1)
        self._raise_bound(self._last[0])
        return (*self._last, self._node)

    def observe(self, stamp: Stamp) -> None:
        """Later stamps will be above this one."""
        if stamp[:2] > self._last:
            self._last = stamp[:2]

    def _raise_bound(self, at: int) -> None:
        if at + AHEAD_US // 2 >= self._bound:
            bound = self._bound = at + AHEAD_US
            self._journal.put(CLOCK, Note(bound))
            self._journal.then(lambda: self._is_durable(bound))

    def _is_durable(self, bound: int) -> None:
        self._durable = max(self._durable, bound)
