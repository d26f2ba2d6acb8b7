"""What the four session guarantees say of the order in which writes take effect, as edges of a graph.

After Viotti and Vukolić, *Consistency in Non-Transactional Distributed Storage Systems* (2016), section 5:
there is one order of all writes (arbitration), a read returns the last write of its key among those visible
to it, and a guarantee says what must be visible, or be in order. So what a read does *not* return, though
it was visible, came before what it returned. An edge means "not after". Two different writes in one circle
contradict each other, whatever the order.

Edges that would be quadratic go through nodes that stand for what a session knows; such a node is no write.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Final, NamedTuple

from checkers.accesses import INITIAL, UNSEEN, Access, Accesses
from checkers.graph import Graph
from checkers.history import HistoryError


class Rule(Enum):
    """Why one write is not after another."""

    DATA = "the data"
    """The initial value is the first; a cas comes after what it replaced; the store told versions."""
    READ_YOUR_WRITES = "read your writes"
    MONOTONIC_READS = "monotonic reads"
    MONOTONIC_WRITES = "monotonic writes"
    WRITES_FOLLOW_READS = "writes follow reads"


GUARANTEES: Final = tuple(rule for rule in Rule if rule is not Rule.DATA)


class Reason(NamedTuple):
    """An edge, with the accesses that it rests on: `later` came after `earlier` in its session."""

    tail: int
    head: int
    rule: Rule
    earlier: int
    later: int


@dataclass(slots=True)
class _Key:
    """What a session knows of a key, as nodes and accesses: what it read last; its own last write, all its
    writes, and all but the last; -1: nothing."""

    seen: int = -1
    seen_by: int = -1
    own: int = -1
    all_own: int = -1
    older_own: int = -1


@dataclass(slots=True)
class _Session:
    """`wrote`: its last write; `read`: a node for all that it has read."""

    wrote: int = -1
    read: int = -1
    keys: dict[str | None, _Key] = field(default_factory=lambda: defaultdict(_Key))


class Order:
    """Nodes: the numbers of accesses, then a node for each key's initial value, then what sessions know.

    Edges are in flat lists: an object for each would keep the garbage collector busy."""

    def __init__(self, accesses: Sequence[Access]) -> None:
        self.accesses: Final = accesses
        self._tails: list[int] = []
        self._heads: list[int] = []
        self._rules: list[Rule] = []
        self._earlier: list[int] = []
        self._later: list[int] = []
        self._access_of: Sequence[int] = range(len(accesses))
        keys = dict.fromkeys(access.key for access in accesses)
        self._initial = {key: len(accesses) + place for place, key in enumerate(keys)}
        self._writes_end = self._size = len(accesses) + len(keys)
        self._data()
        sessions: dict[int | str, _Session] = defaultdict(_Session)
        for access in accesses:
            session = sessions[access.process]
            if access.seen != UNSEEN:
                self._read(access, session)
            if access.writes:
                self._written(access, session)

    def is_write(self, node: int) -> bool:
        """Or an initial value."""
        return node < self._writes_end

    def access_of(self, node: int) -> Access | None:
        """The write; None for an initial value, and for what a session knows."""
        return self.accesses[self._access_of[node]] if node < len(self._access_of) else None

    def reasons(self) -> Iterator[Reason]:
        return map(Reason, self._tails, self._heads, self._rules, self._earlier, self._later)

    def reason(self, place: int) -> Reason:
        flat = (self._tails, self._heads, self._rules, self._earlier, self._later)
        return Reason._make(each[place] for each in flat)

    def contradictions(self, rules: Collection[Rule]) -> tuple[Graph, list[list[int]]]:
        """The graph of these rules and the data (`why` is the place of a reason), and its knots of at least
        two writes."""
        tails, heads, wanted = self._tails, self._heads, {Rule.DATA, *rules}
        kept = [place for place, rule in enumerate(self._rules) if rule in wanted]
        graph = Graph(self._size)
        graph.add_all([tails[place] for place in kept], [heads[place] for place in kept], kept)
        return graph, [knot for knot in graph.knots() if sum(map(self.is_write, knot)) > 1]

    def inside(self, knots: Sequence[Sequence[int]]) -> Order:
        """The edges between nodes of knots, these numbered anew; `accesses` stay all. Outside of the knots of
        all rules there are none of fewer, so what follows takes no longer than they are large."""
        nodes = sorted(node for knot in knots for node in knot)
        number_of = {node: number for number, node in enumerate(nodes)}
        ends = enumerate(zip(self._tails, self._heads, strict=True))
        kept = [place for place, (tail, head) in ends if tail in number_of and head in number_of]
        part = copy(self)
        part._size = len(nodes)
        part._writes_end = bisect_left(nodes, self._writes_end)
        part._access_of = nodes[: bisect_left(nodes, len(self.accesses))]
        part._tails = [number_of[self._tails[place]] for place in kept]
        part._heads = [number_of[self._heads[place]] for place in kept]
        part._rules = [self._rules[place] for place in kept]
        part._earlier = [self._earlier[place] for place in kept]
        part._later = [self._later[place] for place in kept]
        return part

    def _add(self, tail: int, head: int, rule: Rule, earlier: int, later: int) -> None:
        if tail not in (-1, head):
            self._tails.append(tail)
            self._heads.append(head)
            self._rules.append(rule)
            self._earlier.append(earlier)
            self._later.append(later)

    def _node(self) -> int:
        self._size += 1
        return self._size - 1

    def _data(self) -> None:
        versions: dict[str | None, dict[int, Any]] = defaultdict(dict)
        for access in self.accesses:
            number = access.number
            if access.writes:
                self._add(self._initial[access.key], number, Rule.DATA, number, number)
                if access.seen >= 0:
                    self._add(access.seen, number, Rule.DATA, access.seen, number)
            origin = number if access.writes else access.seen
            if access.version is not None and origin >= 0:
                versions[access.key].setdefault(origin, access.version)
        for key, known in versions.items():
            self._versions(key, known)

    def _versions(self, key: str | None, known: dict[int, Any]) -> None:
        try:
            by_version = sorted(known, key=known.__getitem__)
        except TypeError:
            raise HistoryError(
                f"the versions of key {key} are of several kinds, and do not compare"
            ) from None
        groups: dict[Any, list[int]] = {}
        for origin in by_version:
            groups.setdefault(known[origin], []).append(origin)
        before = -1
        for members in groups.values():
            after = self._node()
            for member in members:
                self._add(before, member, Rule.DATA, member, member)
                self._add(member, after, Rule.DATA, member, member)
            before = after

    def _read(self, access: Access, session: _Session) -> None:
        number, key = access.number, session.keys[access.key]
        seen = self._initial[access.key] if access.seen == INITIAL else access.seen
        own = key.older_own if seen == key.own else key.all_own
        self._add(own, seen, Rule.READ_YOUR_WRITES, number, number)
        self._add(key.seen, seen, Rule.MONOTONIC_READS, key.seen_by, number)
        if access.certain:
            key.seen, key.seen_by = seen, number
            known = self._node()
            self._add(session.read, known, Rule.WRITES_FOLLOW_READS, number, number)
            self._add(seen, known, Rule.WRITES_FOLLOW_READS, number, number)
            session.read = known

    def _written(self, access: Access, session: _Session) -> None:
        """After `_read`, if it is a cas; so it also comes after what it replaced."""
        number, key = access.number, session.keys[access.key]
        self._add(session.read, number, Rule.WRITES_FOLLOW_READS, number, number)
        self._add(session.wrote, number, Rule.MONOTONIC_WRITES, session.wrote, number)
        if access.certain:
            session.wrote = number
            known = self._node()
            self._add(key.all_own, known, Rule.READ_YOUR_WRITES, number, number)
            self._add(number, known, Rule.READ_YOUR_WRITES, number, number)
            key.own, key.older_own, key.all_own = number, key.all_own, known


def obligations(judged: Accesses) -> Counter[Rule]:
    """By guarantee, how many operations could break it: a read after a write of its key, or after a read of
    it, and a write after another one, or after any read, always in one session. Where nobody tells what he
    saw, nothing can be broken."""
    if not judged.reads and all(access.version is None for access in judged.all):
        return Counter()
    own_reads = repeated = own_writes = following = 0
    done: set[tuple[int | str, str | None, str]] = set()
    wrote: set[int | str] = set()
    read: set[int | str] = set()
    for access in judged.all:
        process, key = access.process, access.key
        if access.reads:
            own_reads += (process, key, "wrote") in done
            repeated += (process, key, "read") in done
        if access.writes:
            own_writes += process in wrote
            following += process in read
        if access.certain and access.reads:
            read.add(process)
            done.add((process, key, "read"))
        if access.certain and access.writes:
            wrote.add(process)
            done.add((process, key, "wrote"))
    return Counter(dict(zip(GUARANTEES, (own_reads, repeated, own_writes, following), strict=True)))
