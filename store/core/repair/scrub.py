"""Bit rot: everything on the disk is read from time to time, and mended from other replicas if damaged.

Until it is mended, a replica does not answer for a damaged record. What it takes to mend one:

- *Data*: what enough others hold, merged. Enough is so many that they share a node with every write quorum's
  other members: of `n`, all but `n // 2`, counted without this node. If other copies are damaged too, what is
  left has to do; then a write that only those had is lost, and the mended record is *doubtful*.
- *An acceptor*: a promise must not be forgotten. It rejoins by a ballot above all that this node's acceptors
  have ever promised (`Replica.ballot_bound`), which as many of the others have promised; it takes over the
  state that they tell of, as accepted under that ballot. docs/protocols/repair.md argues why that is safe.
- *A hint* is dropped, and so is a note that is only a help. *Any other note* cannot be replaced: the node
  ends, and its data directory counts as damaged.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from store.core.coordination import Coordination
from store.core.data.datum import merge
from store.core.data.quorum import enough
from store.core.gossip.swim import ADDRESSES
from store.core.machine import DamagedRecord
from store.core.messages import (
    NO_BALLOT,
    RESERVED,
    Accept,
    Acceptor,
    Ballot,
    Datum,
    Done,
    Failed,
    Fetch,
    Fetched,
    Note,
    Prepare,
    Promise,
    Refused,
    Register,
    Response,
    Unable,
)
from store.core.options import Options
from store.core.ownership.layout import Placement
from store.core.ownership.sweep import SWEPT
from store.core.ownership.transfer import PROGRESS
from store.core.port import Port
from store.core.procedure import Answers, Ask, Group, Linger, Procedure, Rest, Tell
from store.core.proposer import Proposer
from store.core.repair.pace import durable
from store.core.replica import ACCEPTOR, DATUM, Replica

LAYOUT: Final = f"{RESERVED}layout/"
"""Keys of the registers by which layouts are decided; kept by the council."""
CURSOR: Final = "m/scrub"
"""Storage key: how far the scrub has come, so that a node that restarts often gets to the end as well."""
HELPFUL: Final = frozenset({ADDRESSES, PROGRESS, SWEPT, CURSOR})
"""Storage keys of notes that a node can do without."""
PAGE_RECORDS: Final = 64
COUNT_RECORDS: Final = 1_000
PAUSE_NANOS: Final = 2_000_000
MEND_NANOS: Final = 3_000_000_000
"""How long the others have to answer; after `AGAIN_NANOS` they are asked again."""
AGAIN_NANOS: Final = 5_000_000_000
LINGER_NANOS: Final = 200_000_000
POLL_NANOS: Final = 20_000_000


class Scrub:
    """`drop_hint` is told of hints that are damaged."""

    def __init__(
        self,
        port: Port,
        options: Options,
        replica: Replica,
        proposer: Proposer,
        drop_hint: Callable[[str], None] = lambda storage_key: None,
    ) -> None:
        self.handlers: dict[type, Callable[[str, Any], None]] = {}
        self.counts: Counter[str] = Counter()
        self._port = port
        self._period = options.scrub_nanos
        self._replica = replica
        self._proposer = proposer
        self._drop_hint = drop_hint
        self._damaged: dict[str, str] = {}
        """By storage key: how it stands with mending it."""

    def start(self) -> None:
        if self._period:
            cursor = self._cursor()
            self._count("", 0, lambda records: self._pass(cursor, records))

    def found(self, storage_key: str) -> None:
        """The record there is damaged: mend it, unless that is under way."""
        if storage_key in self._damaged:
            return
        self.counts["damaged"] += 1
        self._port.happened("record-damaged", key=storage_key)
        self._damaged[storage_key] = "being mended"
        self._mend(storage_key)

    def status(self) -> dict[str, Any]:
        counts = {kind: self.counts[kind] for kind in ("scanned", "damaged", "mended", "doubtful", "lost")}
        return {"scrub": {**counts, "not_mended": dict(self._damaged)}}

    def admin(self, c: Coordination) -> Procedure[Response]:
        """Read everything now, and mend what is damaged."""
        before = self.counts.copy()
        after = ""
        while page := self._port.journal.scan("", after, PAGE_RECORDS):
            self._read(page)
            after = page[-1]
            yield Rest(PAUSE_NANOS)
            if c.late():
                break
        while self._damaged and not c.late():
            yield Rest(POLL_NANOS)
        yield from durable(self._port, c.deadline)
        counts = self.counts - before
        figures = f"{counts['scanned']} records read, {counts['damaged']} damaged, {counts['mended']} mended"
        if page:
            return Failed(c.request_id, "timeout", f"not at the end yet; {figures}")
        if self._damaged:
            some = ", ".join([f"{key!r} {how}" for key, how in list(self._damaged.items())[:5]])
            return Failed(c.request_id, "timeout", f"{len(self._damaged)} left, {some}; {figures}")
        return Done(c.request_id, figures)

    # Reading everything ------------------------------------------------------------------------------

    def _cursor(self) -> str:
        try:
            held = self._port.journal.get(CURSOR)
        except DamagedRecord:
            held = None
        return str(held.content) if isinstance(held, Note) else ""

    def _count(self, after: str, records: int, then: Callable[[int], None]) -> None:
        """How many records there are, without reading them."""
        page = self._port.journal.scan("", after, COUNT_RECORDS)
        records += len(page)
        if len(page) == COUNT_RECORDS:
            self._port.after(PAUSE_NANOS, lambda: self._count(page[-1], records, then))
        else:
            then(records)

    def _pass(self, after: str, records: int) -> None:
        """Read a page, and go on so that all are read in a period."""
        page = self._port.journal.scan("", after, PAGE_RECORDS)
        self._read(page)
        pause = self._period // (1 + records // PAGE_RECORDS)
        if len(page) == PAGE_RECORDS:
            self._port.journal.put(CURSOR, Note(page[-1]))
            self._port.after(pause, lambda: self._pass(page[-1], records))
        else:
            self._port.journal.put(CURSOR, None)
            self.counts["passes"] += 1
            self._port.after(pause, lambda: self._count("", 0, lambda counted: self._pass("", counted)))

    def _read(self, page: list[str]) -> None:
        for storage_key in page:
            self.counts["scanned"] += 1
            try:
                self._port.journal.get(storage_key)
            except DamagedRecord:
                self.found(storage_key)

    # Mending -----------------------------------------------------------------------------------------

    def _mend(self, storage_key: str) -> None:
        family, key = storage_key[:2], storage_key[2:]
        if not self._is_damaged(storage_key):
            self._mended(storage_key)  # it has been overwritten
        elif family == DATUM:
            self._port.run(self._mend_datum(key), MEND_NANOS, lambda how: self._tried(storage_key, how))
        elif family == ACCEPTOR:
            self._port.run(self._mend_acceptor(key), MEND_NANOS, lambda how: self._tried(storage_key, how))
        elif family == "h/":
            self._drop_hint(storage_key)
            self._mended(storage_key)
        elif storage_key in HELPFUL:
            self._port.journal.put(storage_key, None)
            self._mended(storage_key)
        else:
            self._damaged[storage_key] = "cannot be mended"
            self._port.happened("note-damaged", key=storage_key)
            self._port.after(0, lambda: self._end(storage_key))

    def _end(self, storage_key: str) -> None:
        """It cannot go on without this, and its driver has to know."""
        raise DamagedRecord(storage_key)

    def _is_damaged(self, storage_key: str) -> bool:
        try:
            self._port.journal.get(storage_key)
        except DamagedRecord:
            return True
        return False

    def _tried(self, storage_key: str, how: str) -> None:
        """`how` it stands with it; empty: it is mended."""
        if not how:
            self._mended(storage_key)
            return
        if self._damaged[storage_key] != how:
            self._damaged[storage_key] = how
            self._port.happened("record-not-mended", key=storage_key, reason=how)
        self._port.after(AGAIN_NANOS, lambda: self._mend(storage_key))

    def _mended(self, storage_key: str) -> None:
        del self._damaged[storage_key]
        self.counts["mended"] += 1
        self._port.happened("record-mended", key=storage_key)

    def _others(self, place: Placement, key: str) -> tuple[Group, ...]:
        """Of each list of those who keep `key`, the others, and how many of them share a node with every
        majority of the list, counted without this node. Empty: this node does not keep it (any more)."""
        name = self._port.name
        lists = (place.layout.council,) if key.startswith(RESERVED) else place.replicas(key)
        if not any(name in nodes for nodes in lists) or _is_past(place, key):
            return ()
        return tuple([_without(name, nodes) for nodes in lists])

    def _mend_datum(self, key: str) -> Procedure[str]:
        place = self._port.placement
        if place is None:
            return "the layout is not known"
        groups = self._others(place, key)
        if not groups:
            self._replica.restore(key, None)
            return ""
        answers = yield Ask(groups, Fetch(self._port.next_rid(), place.epoch, key))
        answers += yield Linger(LINGER_NANOS)
        fetched: Answers = [(peer, answer) for peer, answer in answers if isinstance(answer, Fetched)]
        if not enough(groups, fetched):
            if not fetched or not _all_have_answered(groups, answers):
                return _reason(groups, answers, fetched)
            self.counts["doubtful"] += 1
            self._port.happened("record-doubtful", key=DATUM + key, reason=_reason(groups, answers, fetched))
        if not self._is_damaged(DATUM + key):
            return ""
        merged: Datum | None = None
        for _, answer in fetched:
            if isinstance(answer, Fetched) and answer.datum is not None:
                merged = merge(merged, answer.datum)
        self._replica.restore(key, merged)
        if merged is None:
            self.counts["lost"] += 1
            self._port.happened("record-lost", key=DATUM + key, reason="no other replica holds anything")
        return ""

    def _mend_acceptor(self, key: str) -> Procedure[str]:
        place = self._port.placement
        if place is None:
            return "the layout is not known"
        groups = self._others(place, key)
        if not groups:
            self._port.journal.put(ACCEPTOR + key, None)
            return ""
        ballot = self._ballot()
        answers = yield Ask(groups, Prepare(self._port.next_rid(), place.epoch, key, ballot))
        for _, answer in answers:
            if isinstance(answer, Refused):
                self._proposer.observe(answer.promised)
        promised: Answers = [(peer, answer) for peer, answer in answers if isinstance(answer, Promise)]
        if not enough(groups, promised):
            return _reason(groups, answers, promised)
        if not self._is_damaged(ACCEPTOR + key):
            return ""
        state = _latest(promised)
        self._replica.restore_acceptor(key, Acceptor(ballot, ballot if state else NO_BALLOT, state))
        if state is not None:
            peers = tuple(dict.fromkeys([peer for group in groups for peer in group.peers]))
            accept = Accept(self._port.next_rid(), place.epoch, key, ballot, state, ballot)
            yield Tell(peers, accept)
        return ""

    def _ballot(self) -> Ballot:
        """Above all that this node's acceptors have ever promised."""
        self._proposer.observe((self._replica.ballot_bound, ""))
        return self._proposer.ballot()


def _latest(promises: Answers) -> Register | None:
    """The state accepted under the highest ballot that is told of."""
    latest: tuple[Ballot, Register | None] = (NO_BALLOT, None)
    for _, promise in promises:
        if isinstance(promise, Promise) and promise.accepted > latest[0]:
            latest = promise.accepted, promise.state
    return latest[1]


def _without(name: str, nodes: tuple[str, ...]) -> Group:
    majority = len(nodes) // 2 + 1
    others = tuple([node for node in nodes if node != name])
    return Group(others, len(nodes) - len(nodes) // 2 if name in nodes else majority)


def _is_past(place: Placement, key: str) -> bool:
    """Whether `key` is of a decision about a layout that was made: nobody is asked about that any more, as
    whoever has the layout answers no question of the epoch before."""
    number = key.removeprefix(LAYOUT)
    return number != key and number.isdecimal() and int(number) <= place.epoch


def _all_have_answered(groups: tuple[Group, ...], answers: Answers) -> bool:
    """Each other node has told what it holds, or that its own copy is damaged."""
    told = [peer for peer, answer in answers if isinstance(answer, Fetched | Unable)]
    return all(peer in told for group in groups for peer in group.peers)


def _reason(groups: tuple[Group, ...], answers: Answers, agreed: Answers) -> str:
    """Why it is not mended: what is missing, or that the others cannot answer for it either."""
    agreeing = [peer for peer, _ in agreed]
    unable = sorted([peer for peer, _ in answers if peer not in agreeing])
    text = f"{len(agreeing)} of the {max(need for _, need in groups)} other replicas needed have answered"
    return f"{text}, {', '.join(unable)} cannot" if unable else text
