"""Replicas compare what they keep, by hash trees, and mend what differs (Dynamo, section 4.7).

The one who begins a comparison asks, and the other only answers: there is nothing that could be left half
done on the other's side, and every question may be lost, repeated or come late. First the digests of the
branches, then of the leaves under those that differ, then the keys in leaves that differ with a digest each;
what differs is fetched and merged, and what the other lacks of the result is sent. What is in flight between
replicas also differs, for a moment: so leaves are compared a little later than branches.

Leaves out the registers of the linearizable level. A replica that missed some rounds needs no repair to be
safe, only a reader's second round, which also brings it up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from msgspec import Struct

from store.core.coordination import Coordination
from store.core.machine import DamagedRecord
from store.core.messages import Datum, Done, Failed, Response, Siblings, Unable
from store.core.messages.repair import (
    BRANCHES_ASKED_MAX,
    FAN_OUT,
    Compare,
    Compared,
    Itemize,
    Itemized,
    Mend,
    Mended,
    Obtain,
    Obtained,
)
from store.core.options import Options
from store.core.port import Port
from store.core.procedure import Procedure, Rest
from store.core.repair.convergence import Convergence, Outcome
from store.core.repair.inventory import Inventory, others
from store.core.repair.merkle import place
from store.core.repair.pace import PAGE_BYTES, Pace, ask, durable, size_of
from store.core.replica import Replica

PROBE_NANOS: Final = 3_000_000_000
"""How long another node has to answer the first question."""
SESSION_NANOS: Final = 60_000_000_000
"""How long mending with one node goes on at a time; what is left is found again by the next comparison."""
SETTLE_NANOS: Final = 100_000_000
"""How much later than the branches leaves are compared, so that what is under way has arrived."""
ROUND_TURNS: Final = 16
"""In so many turns a node has compared with all others, however many they are."""
LEAVES_AT_ONCE: Final = 64
PAGE_KEYS: Final = 500
FETCH_KEYS: Final = 100
POLL_NANOS: Final = 20_000_000


class AntiEntropy:
    """`questions` takes what other nodes ask, `damaged` storage keys that cannot be read; `delivered` counts
    the hints that this node has delivered."""

    def __init__(
        self,
        port: Port,
        options: Options,
        replica: Replica,
        inventory: Inventory,
        delivered: Callable[[], int] = lambda: 0,
        damaged: Callable[[str], None] = lambda key: None,
    ) -> None:
        self.handlers: dict[type, Callable[[str, Any], None]] = {}
        self.questions: dict[type, Callable[[str, Any], None]] = {
            Compare: self._compare,
            Itemize: self._itemize,
            Obtain: self._obtain,
            Mend: self._mend,
        }
        self._port = port
        self._period = options.compare_nanos
        self._replica = replica
        self._inventory = inventory
        self._forest = inventory.forest
        self._damaged = damaged
        self._pace = Pace(port, options.repair_bytes_per_second)
        self._convergence = Convergence(port, delivered)
        self._turn = 0
        self._open: dict[str, list[Callable[[Outcome], None]]] = {}

    def start(self) -> None:
        if self._period:
            self._inventory.want()
            self._port.after(self._port.rng.randrange(self._period), self._next)

    def status(self) -> dict[str, Any]:
        self._peers()
        return {"repair": self._convergence.status()}

    # Whom to compare with, and when ------------------------------------------------------------------

    def _next(self) -> None:
        self._port.after(self._period, self._next)
        peers = self._peers()
        if not peers or not self._inventory.ready():
            return
        for _ in range(1 + (len(peers) - 1) // ROUND_TURNS):
            peer = peers[self._turn % len(peers)]
            self._turn += 1
            if self._port.alive(peer):
                self._begin(peer)
            else:
                self._convergence.missed(peer)

    def _peers(self) -> list[str]:
        """All other nodes that have a part in the present layout."""
        layout = self._port.placement
        if layout is None or self._port.name not in layout.names:
            self._convergence.expect(None)
            return []
        peers = [name for name in layout.names if name != self._port.name]
        self._convergence.expect(peers)
        return peers

    def _begin(self, peer: str, then: Callable[[Outcome], None] | None = None) -> None:
        """Compare with `peer`, unless that is under way; `then` gets the outcome."""
        waiting = self._open.get(peer)
        if waiting is not None:
            waiting += [then] if then else []
            return
        self._open[peer] = [then] if then else []
        self._port.run(self._differing(peer), PROBE_NANOS, lambda branches: self._probed(peer, branches))

    def _probed(self, peer: str, branches: list[int] | None) -> None:
        if branches:
            self._port.run(
                self._session(peer, branches), SESSION_NANOS, lambda outcome: self._ended(peer, outcome)
            )
        else:
            self._ended(peer, Outcome(silent=True) if branches is None else Outcome(equal=True))

    def _ended(self, peer: str, outcome: Outcome) -> None:
        self._convergence.compared(peer, outcome)
        for then in self._open.pop(peer):
            then(outcome)

    # One comparison ----------------------------------------------------------------------------------

    def _differing(self, peer: str) -> Procedure[list[int] | None]:
        """The branches that differ; None: no answer."""
        deadline = self._port.now + PROBE_NANOS
        while self._port.now < deadline:
            layout = self._port.placement
            if layout is None or not self._inventory.ready():
                return None
            ours = self._forest.branches(peer)
            answer = yield from ask(peer, Compare(self._port.next_rid(), layout.epoch, ()))
            if answer is not None and len(answer.digests) == FAN_OUT:
                return [branch for branch in range(FAN_OUT) if ours[branch] != answer.digests[branch]]
            yield Rest(SETTLE_NANOS)  # it may be making its trees
        return None

    def _session(self, peer: str, branches: list[int]) -> Procedure[Outcome]:
        """Mend what differs under `branches`."""
        layout = self._port.placement
        assert layout is not None
        session = Session(peer, layout.epoch, self._port.now + SESSION_NANOS, Outcome(silent=True))
        yield Rest(SETTLE_NANOS)
        for some in _batches(branches, BRANCHES_ASKED_MAX):
            leaves = yield from self._differing_leaves(session, some)
            if leaves is None:
                return session.outcome
            session.outcome.differed = session.outcome.differed or bool(leaves)
            for few in _batches(leaves, LEAVES_AT_ONCE):
                if not (yield from self._mend_leaves(session, few)):
                    return session.outcome
        session.outcome.equal = (yield from self._differing(peer)) == []
        session.outcome.silent = False
        return session.outcome

    def _differing_leaves(self, session: Session, branches: Sequence[int]) -> Procedure[list[int] | None]:
        ours = self._forest.leaves(session.peer, branches)
        answer = yield from self._ask(session, Compare(self._port.next_rid(), session.epoch, tuple(branches)))
        if answer is None or len(answer.digests) != len(ours):
            return None
        leaves = [branch * FAN_OUT + i for branch in branches for i in range(FAN_OUT)]
        return [leaf for leaf, our, their in zip(leaves, ours, answer.digests, strict=True) if our != their]

    def _mend_leaves(self, session: Session, leaves: Sequence[int]) -> Procedure[bool]:
        """Page by page of keys, fetch and merge what differs, and send what the other lacks of the result.
        False: the other has fallen silent, or the layout is another."""
        peer, after = session.peer, ""
        while True:
            question = Itemize(self._port.next_rid(), session.epoch, tuple(leaves), after)
            answer = yield from self._ask(session, question)
            if answer is None or (answer.more and not answer.entries):
                return False
            yield from self._pace.spend(size_of(answer))
            through = place(answer.entries[-1][0]) if answer.more else (1 << 64, "")
            if through <= place(after) and after:
                return False
            theirs = {key: digest for key, digest in answer.entries if self._shared(peer, key)}
            ours = self._between(peer, leaves, after, through)
            wanted = [key for key, digest in theirs.items() if ours.get(key) != digest]
            lacking = [key for key in ours if key not in theirs]
            if not (yield from self._fetch(session, wanted, lacking)):
                return False
            if not (yield from self._give(session, lacking)):
                return False
            if not answer.more:
                return True
            after = answer.entries[-1][0]

    def _between(
        self, peer: str, leaves: Sequence[int], after: str, through: tuple[int, str]
    ) -> dict[str, int]:
        """Our part of a page: all keys after `after` up to the place `through`."""
        ours: dict[str, int] = {}
        while page := self._forest.listing(peer, leaves, after, PAGE_KEYS):
            ours.update([(key, digest) for key, digest in page if place(key) <= through])
            after = page[-1][0]
            if place(after) >= through or len(page) < PAGE_KEYS:
                break
        return ours

    def _fetch(self, session: Session, wanted: list[str], lacking: list[str]) -> Procedure[bool]:
        """Merge the other's data of `wanted` into ours; add to `lacking` what then differs from theirs."""
        while wanted:
            if self._replica.unable() is not None:
                return False
            question = Obtain(self._port.next_rid(), session.epoch, tuple(wanted[:FETCH_KEYS]))
            answer = yield from self._ask(session, question)
            if answer is None or answer.covered > len(question.keys):
                return False
            for key, theirs in answer.data:
                if key in question.keys and self._take_in(session, key, theirs):
                    lacking.append(key)
            del wanted[: answer.covered]
            yield from self._pace.spend(size_of(answer))
        return True

    def _take_in(self, session: Session, key: str, theirs: Datum) -> bool:
        """Merge `theirs`; whether the other lacks something of the result."""
        try:
            before = self._replica.datum(key)
            self._replica.merge_in(key, theirs)
            after = self._replica.datum(key)
        except DamagedRecord as damage:
            self._damaged(damage.key)
            return False
        session.outcome.here += after != before
        session.outcome.siblings += isinstance(after, Siblings) and after not in (before, theirs)
        return after != theirs

    def _give(self, session: Session, lacking: list[str]) -> Procedure[bool]:
        """Send our data of `lacking`, once they are durable here."""
        while lacking:
            data, count = self._page(lacking)
            del lacking[:count]
            if not data:
                continue
            if not (yield from durable(self._port, session.deadline)):
                return False
            question = Mend(self._port.next_rid(), session.epoch, data)
            answer = yield from self._ask(session, question)
            if answer is None:
                return False
            session.outcome.there += answer.changed
            yield from self._pace.spend(size_of(question))
        return True

    def _ask(self, session: Session, question: Any) -> Procedure[Any]:
        """None as well if the layout is another by now."""
        answer = yield from ask(session.peer, question)
        layout = self._port.placement
        changed = layout is None or layout.epoch != session.epoch or not self._inventory.ready()
        return None if changed else answer

    def _shared(self, peer: str, key: str) -> bool:
        layout = self._port.placement
        return layout is not None and peer in others(layout, self._port.name, key)

    def _page(self, keys: Sequence[str]) -> tuple[tuple[tuple[str, Datum], ...], int]:
        """Our data of the first of `keys`, as much as fits into a message; and how many keys that covers."""
        data: list[tuple[str, Datum]] = []
        size = count = 0
        for key in keys[:FETCH_KEYS]:
            try:
                datum = self._replica.datum(key)
            except DamagedRecord as damage:
                self._damaged(damage.key)
                datum = None
            if datum is not None:
                size += size_of((key, datum))
                if data and size > PAGE_BYTES:
                    break
                data.append((key, datum))
            count += 1
        return tuple(data), count

    # What the others ask -----------------------------------------------------------------------------

    def _compare(self, peer: str, question: Compare) -> None:
        if not self._inventory.ready():
            self._port.send(peer, Unable(question.rid, "unavailable"))
        elif question.branches:
            digests = self._forest.leaves(peer, question.branches)
            self._port.send(peer, Compared(question.rid, tuple(digests)))
        else:
            self._port.send(peer, Compared(question.rid, tuple(self._forest.branches(peer))))

    def _itemize(self, peer: str, question: Itemize) -> None:
        if not self._inventory.ready():
            self._port.send(peer, Unable(question.rid, "unavailable"))
            return
        page = self._forest.listing(peer, question.leaves, question.after, PAGE_KEYS + 1)
        entries = tuple(page[:PAGE_KEYS])
        self._port.send(peer, Itemized(question.rid, entries, len(page) > PAGE_KEYS))

    def _obtain(self, peer: str, question: Obtain) -> None:
        data, covered = self._page(question.keys)
        shared = tuple([(key, datum) for key, datum in data if self._shared(peer, key)])
        answer = Obtained(question.rid, shared, covered)
        self._port.journal.then(lambda: self._port.send(peer, answer))

    def _mend(self, peer: str, question: Mend) -> None:
        changed = 0
        for key, datum in question.data:
            if self._shared(peer, key):
                try:
                    before = self._replica.datum(key)
                    self._replica.merge_in(key, datum)
                    changed += self._replica.datum(key) != before
                except DamagedRecord as damage:
                    self._damaged(damage.key)
        answer = Mended(question.rid, changed)
        self._port.journal.then(lambda: self._port.send(peer, answer))

    # An operator's wish ------------------------------------------------------------------------------

    def admin(self, c: Coordination) -> Procedure[Response]:
        """Compare now with all others, until there is nothing left to mend."""
        self._inventory.want()
        peers = self._peers()
        total = Outcome()
        left = dict.fromkeys(peers)
        silent: list[str] = []

        def ended(peer: str, outcome: Outcome) -> None:
            total.here += outcome.here
            total.there += outcome.there
            if outcome.here or outcome.there:
                self._begin(peer, lambda again: ended(peer, again))
                return
            left.pop(peer)
            if outcome.silent:
                silent.append(peer)

        while not self._inventory.ready() and not c.late():
            yield Rest(POLL_NANOS)
        for peer in peers:
            if self._port.alive(peer):
                self._begin(peer, lambda outcome, peer=peer: ended(peer, outcome))  # type: ignore[misc]
            else:
                ended(peer, Outcome(silent=True))
        while left and not c.late():
            yield Rest(POLL_NANOS)
        yield from durable(self._port, c.deadline)
        figures = f"{total.here} keys mended here, {total.there} at others"
        if silent or left:
            text = f"not compared to the end with {', '.join([*silent, *left])}; {figures}"
            return Failed(c.request_id, "timeout", text)
        return Done(c.request_id, f"compared with {len(peers)} other nodes; {figures}")


class Session(Struct, frozen=True):
    """One comparison that has found differences. All of it is by one epoch."""

    peer: str
    epoch: int
    deadline: int
    outcome: Outcome


def _batches(items: Sequence[int], size: int) -> list[Sequence[int]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
