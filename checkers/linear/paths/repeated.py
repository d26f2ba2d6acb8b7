"""One value that may be written again and again, as nil is where there are deletes: which of its writes each
read of it saw, by one sweep over the history that always waits as long as it can.

What is known is as in `unique_layout`. The chains of other values are *walls*, which nothing can be amid, or
*points*, of which all calls are open at one moment. The sweep decides where the value has to come back, and
spends on it the write that has to return the soonest. If there is none left, as many places as there were
need more writes than can reach them. The argument is in docs/protocols/unique-values.md, "A value that is
repeated".
"""

from __future__ import annotations

from bisect import bisect_left
from heapq import heappop, heappush
from typing import Final, NamedTuple

from checkers.linear.paths.unique_conflict import Clue, Conflict, conflict_of
from checkers.linear.paths.unique_layout import NEVER, NOWHERE, Layout
from checkers.linear.paths.unique_order import chains_of
from checkers.models import Model

# What happens at one position, in this order.
_WRITE_ENDS, _READ_ENDS, _WALL, _POINT_ENDS, _WRITE_BEGINS, _READ_BEGINS = range(6)

_Event = tuple[int, int, int]
"""A position, what happens there, and the index of a read, or the cluster of a write, a wall or a point."""


class _Zone(NamedTuple):
    """A chain's: a wall, from its first end to its last start, or a point from its last start to its first
    end."""

    first_end: int
    last_start: int


class _Debt(NamedTuple):
    """After `gone`, another value was there; `read` needs the repeated one back. It was brought between
    positions `since` and `until`, for which the cluster `paid` was spent (NOWHERE: nothing was left). `until`
    is the read's end, or where the wall `before` begins in which it ended."""

    read: int
    gone: _Zone
    before: _Zone | None
    since: int
    until: int
    paid: int


def settle(layout: Layout, model: Model) -> Conflict | None:
    """Give each unclear read to a write, of a layout that has an order without them; or tell why one can be
    given to none."""
    sweep = _Sweep(layout)
    clue = sweep.amid_a_wall() or sweep.run()
    if clue is not None:
        return conflict_of(layout, clue, model)
    layout.reads += layout.unclear
    layout.read_of += [sweep.seen[index] for index in layout.unclear]
    layout.heads += sweep.used
    layout.dropped = sorted(set(layout.dropped).difference(sweep.used))
    for index in layout.unclear:
        _, _, start, end, _ = layout.calls[index]
        cluster = sweep.seen[index]
        assert end is not None
        layout.first_end[cluster] = min(layout.first_end[cluster], end)
        layout.last_start[cluster] = max(layout.last_start[cluster], start)
    layout.unclear = []
    return None


class _Sweep:
    """`seen`: by unclear read, the cluster that it is given to; `used`: those of optional writes.

    `_now` is the cluster that brought the value which is there, NOWHERE while another one is, and `_written`
    where it was last written. `_gone` are the walls and points that came since, in the order of their first
    ends, and `_waiting` the reads that began since."""

    def __init__(self, layout: Layout) -> None:
        chains = chains_of(layout)
        assert chains is not None
        self.seen: Final[dict[int, int]] = {}
        self.used: Final[list[int]] = []
        self._layout = layout
        self._zones = {
            head: _Zone(chains.first_end[head], chains.last_start[head])
            for head in set(layout.heads).difference(layout.repeated)
        }
        walls = [zone for zone in self._zones.values() if zone.first_end <= zone.last_start]
        self._walls = sorted(walls)
        self._now = 0 if 0 in layout.repeated else NOWHERE
        self._written = -2
        self._gone: list[_Zone] = []
        self._waiting: list[int] = []
        self._spare: list[tuple[int, int]] = []
        """A heap of the writes that may come, by their end; those that came are in it, too."""
        self._come: set[int] = set()
        self._debts: list[_Debt] = []

    def amid_a_wall(self) -> Clue | None:
        """A read that began and ended in a wall."""
        for index in self._layout.unclear:
            _, _, start, end, _ = self._layout.calls[index]
            wall = self._around(start)
            if wall is not None and end is not None and end < wall.last_start:
                return Clue(end, (start, wall.last_start), (wall.first_end,))
        return None

    def run(self) -> Clue | None:
        """The clue if there is no way."""
        for at, what, which in sorted(self._events()):
            if what == _READ_BEGINS:
                if self._now == NOWHERE:
                    self._waiting.append(which)
                else:
                    self.seen[which] = self._now
            elif what == _WRITE_BEGINS:
                heappush(self._spare, (self._layout.first_end[which], which))
            elif what == _WRITE_ENDS:
                if which not in self._come:
                    self._write(which, at)
            elif what == _READ_ENDS:
                if which not in self.seen and not self._pay(which, at):
                    return self._bankrupt()
            else:
                self._other_value(self._zones[which])
        return None

    def _events(self) -> list[_Event]:
        """A call that ends in a wall has to come before it."""
        layout = self._layout
        events: list[_Event] = []
        for index in layout.unclear:
            _, _, start, end, _ = layout.calls[index]
            assert end is not None
            events.append((start, _READ_BEGINS, index))
            events.append((self._before_wall(end), _READ_ENDS, index))
        for cluster in layout.repeated:
            if cluster:
                events.append((layout.begun[cluster], _WRITE_BEGINS, cluster))
                if layout.first_end[cluster] < NEVER:
                    events.append((self._before_wall(layout.first_end[cluster]), _WRITE_ENDS, cluster))
        for head, zone in self._zones.items():
            is_wall = zone.first_end <= zone.last_start
            events.append((zone.first_end, _WALL if is_wall else _POINT_ENDS, head))
        return events

    def _around(self, position: int) -> _Zone | None:
        """The wall in which a position is."""
        rank = bisect_left(self._walls, (position,)) - 1
        return self._walls[rank] if rank >= 0 and position < self._walls[rank].last_start else None

    def _before_wall(self, position: int) -> int:
        wall = self._around(position)
        return position if wall is None else wall.first_end

    def _write(self, cluster: int, at: int) -> None:
        """Points that are open come right before it, reads that are open right behind it."""
        self._come.add(cluster)
        self._now = cluster
        self._written = at
        self._gone.clear()
        for index in self._waiting:
            self.seen.setdefault(index, cluster)
        self._waiting.clear()

    def _other_value(self, zone: _Zone) -> None:
        """A wall begins, or a point ends: it may have come right before the last write, or it comes now."""
        if zone.last_start > self._written:
            self._now = NOWHERE
            self._gone.append(zone)

    def _pay(self, index: int, at: int) -> bool:
        """Write for a read that ends; False if there is no write left."""
        while self._spare and self._spare[0][1] in self._come:
            heappop(self._spare)
        _, _, start, end, _ = self._layout.calls[index]
        gone = self._gone[bisect_left(self._gone, (start,)) - 1]
        paid = self._spare[0][1] if self._spare else NOWHERE
        before = None if end == at else self._around(end or 0)
        self._debts.append(_Debt(index, gone, before, gone.last_start, at, paid))
        if paid == NOWHERE:
            return False
        if self._layout.first_end[paid] == NEVER:
            self.used.append(paid)
        self._write(paid, at)
        return True

    def _bankrupt(self) -> Clue:
        """The last debt, and all those that were paid with a write which could have paid one of these."""
        layout = self._layout
        last = self._debts.pop()
        owed, left = [last], self._debts
        for debt in owed:
            able = [
                other
                for other in left
                if layout.begun[other.paid] <= debt.until and layout.first_end[other.paid] >= debt.since
            ]
            owed += able
            left = [other for other in left if other not in able]
        zones = [debt.gone for debt in owed] + [debt.before for debt in owed if debt.before is not None]
        starts = [zone.last_start for zone in zones] + [layout.calls[debt.read].start for debt in owed]
        starts += [layout.begun[debt.paid] for debt in owed[1:]]
        return Clue(last.until, tuple(starts), tuple(zone.first_end for zone in zones))
