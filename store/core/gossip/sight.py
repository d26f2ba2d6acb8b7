"""What a node sees of the ring: which owners, and with them a quorum of which ranges.

An owner that is not alive may have crashed or be behind a cut; from here both look the same, and are called
a partition. This is told to people and to nobody else: what can be read and written is found out by asking.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, Final, NamedTuple

from store.core.gossip.swim import Swim
from store.core.options import Options
from store.core.ownership.layout import Placement
from store.core.port import Port

SIDE_MAX: Final = 50
"""The most names in one event."""


class Reach(NamedTuple):
    """Of `ranges`, how many have a quorum of their replicas among those in sight, how many at least one."""

    ranges: int
    with_quorum: int
    with_one: int


def reach(place: Placement, up: frozenset[str]) -> Reach:
    """A range is where each ring (two while ownership moves) has one preference list; a quorum is a majority
    of each list. The number of replicas is the layout's; buckets with another are not looked at."""
    starts = sorted({at for ring in place.rings for at in ring.positions})
    n = place.layout.replication
    verdicts: dict[tuple[str, ...], tuple[bool, bool]] = {}
    with_quorum = with_one = 0
    for start in starts:
        quorum = one = True
        for ring in place.rings:
            replicas = ring.successors(bisect_right(ring.positions, start) % len(ring.positions), n)
            verdict = verdicts.get(replicas)
            if verdict is None:
                seen = sum([replica in up for replica in replicas])
                verdict = verdicts[replicas] = (2 * seen > len(replicas), seen > 0)
            quorum, one = quorum and verdict[0], one and verdict[1]
        with_quorum += quorum
        with_one += one
    return Reach(len(starts), with_quorum, with_one)


class Sight:
    """`partitioned_since`: (monotonic ns, wall-clock ms), None while all owners are alive."""

    def __init__(self, port: Port, options: Options, swim: Swim) -> None:
        self.handlers: dict[type, Any] = {}
        self.partitioned_since: tuple[int, int] | None = None
        self._port = port
        self._period_nanos = options.probe_nanos
        self._swim = swim
        self._looked_at: tuple[Placement, int] | None = None
        self._reach: tuple[Placement, frozenset[str], Reach] | None = None
        swim.on_change.append(lambda node, state: self._look())

    def start(self) -> None:
        if self._period_nanos:
            self._each_period()

    def unseen(self) -> list[str]:
        """The owners, present and next, that are not alive."""
        place = self._port.placement
        return [] if place is None else [node for node in place.names if not self._sees(node)]

    def side(self) -> list[str]:
        """The owners that are alive, this node among them if it is one."""
        place = self._port.placement
        return [] if place is None else [node for node in place.names if self._sees(node)]

    def reach(self) -> Reach | None:
        """None: there is no layout."""
        place = self._port.placement
        if place is None:
            return None
        up = frozenset(self.side())
        if self._reach is None or self._reach[0] is not place or self._reach[1] != up:
            self._reach = (place, up, reach(place, up))
        return self._reach[2]

    def status(self) -> dict[str, Any]:
        """Times are ms of this node's wall clock."""
        own: dict[str, Any] = {
            "members": self._members(),
            "partitioned_since": None if self.partitioned_since is None else self.partitioned_since[1],
        }
        seen = self.reach()
        if seen is not None:
            own["side"] = self.side()
            own["ranges_with_quorum"] = f"{seen.with_quorum} of {seen.ranges}"
            own["ranges_with_one_replica"] = f"{seen.with_one} of {seen.ranges}"
        return own

    def _sees(self, node: str) -> bool:
        """An owner of whom nothing is known yet is taken to be there, as gossip will in its next period."""
        return self._port.alive(node) or node not in self._swim.members

    def _members(self) -> dict[str, dict[str, Any]]:
        swim = self._swim
        me = swim.me
        listed = {self._port.name: _shown(me.state, me.incarnation, me.address, None)}
        for news in sorted(swim.members.all(), key=lambda news: news.node):
            since_ms = swim.members.since(news.node)[1]
            listed[news.node] = _shown(news.state, news.incarnation, swim.address(news.node), since_ms)
        return listed

    def _each_period(self) -> None:
        """Layouts change without a word to anybody here."""
        self._look()
        self._port.after(self._period_nanos, self._each_period)

    def _look(self) -> None:
        place = self._port.placement
        if place is None or self._looked_at == (place, self._swim.members.version):
            return
        self._looked_at = (place, self._swim.members.version)
        unseen = self.unseen()
        if unseen and self.partitioned_since is None:
            self.partitioned_since = (self._port.now, self._port.wall // 1_000_000)
            self._tell("partitioned", unseen=unseen[:SIDE_MAX])
        elif not unseen and self.partitioned_since is not None:
            lasted_ms = (self._port.now - self.partitioned_since[0]) // 1_000_000
            self.partitioned_since = None
            self._tell("healed", lasted_ms=lasted_ms)

    def _tell(self, kind: str, **fields: Any) -> None:
        seen = self.reach()
        assert seen is not None
        self._port.happened(
            kind,
            side=self.side()[:SIDE_MAX],
            ranges_with_quorum=f"{seen.with_quorum} of {seen.ranges}",
            **fields,
        )


def _shown(state: str, incarnation: int, address: str, since_ms: int | None) -> dict[str, Any]:
    return {"state": state, "incarnation": incarnation, "address": address, "since": since_ms}
