"""A replica: keeps data and CASPaxos acceptors, and answers coordinators' questions.

The acceptor follows Rystsov, "CASPaxos: Replicated State Machines without logs" (2018), section 2.2, with one
addition: `Query` tells what was accepted and promises nothing (see `caspaxos.read`). A promise or an accepted
state is durable before it is answered; a refusal promises nothing, so it need not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol, cast

from store.core.data.datum import DATUM_BYTES_MAX, dead_since_ms, gives_way, merge, size, stamps, wrong_kind
from store.core.data.hlc import HybridClock
from store.core.machine import DamagedRecord
from store.core.messages import (
    NO_BALLOT,
    RESERVED,
    Accept,
    Accepted,
    Acceptor,
    Cell,
    Datum,
    Fetch,
    Fetched,
    List,
    Listed,
    Note,
    Prepare,
    Promise,
    Queried,
    Query,
    Refused,
    Store,
    Stored,
    Unable,
)
from store.core.port import Port

UNTOUCHED = Acceptor(NO_BALLOT, NO_BALLOT, None)

DATUM = "v/"
ACCEPTOR = "p/"
"""Storage keys: a user's key has a datum and an acceptor side by side, which know nothing of each other."""

BALLOTS = "m/ballots"
"""Storage key of the bound on the ballots that this node's acceptors have promised or accepted."""
BALLOTS_AHEAD = 4_096
"""The bound is moved so far at a time."""

Watcher = Callable[[str, Datum | None, Datum | None], None]
"""Is told of a key whose datum changed, what it was and what it is; None: there is none."""


_AFTER_RESERVED: Final = RESERVED + "\U0010ffff"
"""All keys of clients come after it, and none of the store's own."""


DECLINED_MAX: Final = 4_096
"""So many declined writes are remembered."""


class HintStore(Protocol):
    """What a node keeps for others: see hints.py."""

    def keep(self, target: str, key: str, datum: Datum) -> bool: ...

    def storage_key(self, target: str, key: str) -> str: ...

    def held(self, key: str) -> Datum | None: ...


class Replica:
    """`handlers` takes each kind of question, with the node that asks."""

    def __init__(self, port: Port, clock: HybridClock) -> None:
        self._port = port
        self._journal = port.journal
        self._route = port.send
        self._clock = clock
        self.unable: Callable[[], str | None] = lambda: None
        """Why the node takes no changes now, as a code."""
        self._declined: dict[tuple[str, int], Unable] = {}
        self.hints: HintStore | None = None
        self.forgotten: Callable[[bool], None] = lambda unreadable: None
        """Is told when a record is dropped, or found unreadable, that may count events of this node's own."""
        self.ballot_counter_seen = 0
        self.ballot_bound = self._ballot_bound()
        """No acceptor of this node has ever promised or accepted a ballot with a counter above it. It is
        durable, so that of an acceptor whose record is lost it is still known what it may have promised."""
        self.watchers: list[Watcher] = []
        self.handlers: dict[type, Callable[[str, Any], None]] = {
            Fetch: self._fetch,
            Store: self._store,
            List: self._list,
            Query: self._query,
            Prepare: self._prepare,
            Accept: self._accept,
        }

    def datum(self, key: str) -> Datum | None:
        """What is kept for the user's key `key`; raises `DamagedRecord`."""
        return cast("Datum | None", self._journal.get(DATUM + key))

    def merge_in(self, key: str, incoming: Datum) -> None:
        """Keep `incoming` with what is kept already: the one way in which data come in, from whomever."""
        self._merge_in(key, self.datum(key), incoming)

    def drop(self, key: str) -> None:
        """Forget the datum of `key`: a tombstone that everybody has, or what is not ours any more."""
        held = self.datum(key)
        if held is not None:
            if not isinstance(held, Cell) and dead_since_ms(held, self._port.wall // 1_000_000) is None:
                self.forgotten(False)
            self._put(key, held, None)

    def restore(self, key: str, datum: Datum | None) -> None:
        """Keep `datum` in the place of a record that cannot be read."""
        self.forgotten(True)
        self._put(key, None, datum)

    def restore_acceptor(self, key: str, acceptor: Acceptor) -> None:
        """Keep `acceptor` in the place of one that cannot be read."""
        self._bound_ballots(acceptor.promised[0])
        self._journal.put(ACCEPTOR + key, acceptor)

    def _merge_in(self, key: str, held: Datum | None, incoming: Datum) -> bool:
        """False: the two together would be too large for a frame, so nothing was done."""
        merged = merge(held, incoming)
        if merged is held:
            return True
        if type(merged) is Cell:
            self._clock.observe(merged.stamp)
        elif (bytes_held := size(merged)) > DATUM_BYTES_MAX:
            self._port.happened("too-large", key=key, bytes=bytes_held)
            return False
        else:
            for stamp in stamps(merged):
                self._clock.observe(stamp)
        self._put(key, held, merged)
        return True

    def _put(self, key: str, held: Datum | None, datum: Datum | None) -> None:
        self._journal.put(DATUM + key, datum)
        for watcher in self.watchers:
            watcher(key, held, datum)

    def _fetch(self, peer: str, question: Fetch) -> None:
        key = question.key
        datum = self.datum(key)
        hinted = None if self.hints is None else self.hints.held(key)
        if hinted is None:
            self._journal.when_durable(DATUM + key, peer, Fetched(question.rid, datum))
        else:
            answer = Fetched(question.rid, merge(datum, hinted))
            self._journal.then(lambda: self._route(peer, answer))

    def _store(self, peer: str, question: Store) -> None:
        key, rid = question.key, question.rid
        if self._declined and (peer, rid) in self._declined:
            self._route(peer, self._declined[peer, rid])
            return
        code = self.unable()
        if code is not None:
            self._decline(peer, Unable(rid, code))
        elif question.target:
            self._keep_hint(peer, question)
        elif (refused := self._take_in(question)) is not None:
            self._decline(peer, refused)
        else:
            self._journal.when_durable(DATUM + key, peer, Stored(rid))

    def _take_in(self, question: Store) -> Unable | None:
        """Merge it, or say why not."""
        key, rid = question.key, question.rid
        try:
            held = self.datum(key)
        except DamagedRecord as damage:
            self._port.happened("record-damaged", key=damage.key)
            return Unable(rid, "unavailable", "the record is damaged")
        refused = self._refusal(question, held) if question.bytes_max else None
        if refused is None and not self._merge_in(key, held, question.datum):
            return Unable(rid, "too-large", f"a key holds at most {DATUM_BYTES_MAX} bytes")
        return refused

    def _decline(self, peer: str, answer: Unable) -> None:
        self.refuse_doubles(peer, answer)
        self._route(peer, answer)

    def refuse_doubles(self, peer: str, answer: Unable) -> None:
        """Answer so to doubles of a write that was not taken: none must be taken later, when a client has
        been told that there was no effect."""
        self._declined[peer, answer.rid] = answer
        if len(self._declined) > DECLINED_MAX:
            del self._declined[next(iter(self._declined))]

    def _keep_hint(self, peer: str, question: Store) -> None:
        hints, target, key = self.hints, question.target, question.key
        if hints is None or not hints.keep(target, key, question.datum):
            self._decline(peer, Unable(question.rid, "overloaded", "there is no room for more hints"))
        else:
            self._journal.when_durable(hints.storage_key(target, key), peer, Stored(question.rid))

    def _refusal(self, question: Store, held: Datum | None) -> Unable | None:
        """Why a client's write is not merged into `held`."""
        datum, rid = question.datum, question.rid
        kind = type(datum)
        if held is not None and type(held) is not kind:
            if not gives_way(held, kind, self._port.wall // 1_000_000):
                return Unable(rid, "bad-request", wrong_kind(question.key, held, kind))
        elif kind is not Cell:
            after = size(merge(held, datum))
            if after > question.bytes_max and (held is None or after > size(held)):
                text = f"a key of this kind holds at most {question.bytes_max} bytes in this bucket"
                return Unable(rid, "too-large", text)
        return None

    def _list(self, peer: str, question: List) -> None:
        family = ACCEPTOR if question.linearizable else DATUM
        after = family + max(question.after, _AFTER_RESERVED)
        limit = question.limit
        found = self._journal.scan(family + question.prefix, after, limit + 1)
        keys = tuple([key[len(family) :] for key in found[:limit]])
        answer = Listed(question.rid, keys, len(found) > limit, len(found))
        self._journal.then(lambda: self._route(peer, answer))

    def _query(self, peer: str, question: Query) -> None:
        key = ACCEPTOR + question.key
        held = self._acceptor(key)
        self._journal.when_durable(key, peer, Queried(question.rid, held.accepted, held.state))

    def _prepare(self, peer: str, question: Prepare) -> None:
        # Strictly greater: a proposer that forgot a ballot in a crash must not win a second quorum with it.
        key, ballot = ACCEPTOR + question.key, question.ballot
        held = self._acceptor(key)
        self.ballot_counter_seen = max(self.ballot_counter_seen, ballot[0])
        if ballot <= held.promised:
            self._route(peer, Refused(question.rid, held.promised))
            return
        self._bound_ballots(ballot[0])
        self._journal.put(key, Acceptor(ballot, held.accepted, held.state))
        self._journal.when_durable(key, peer, Promise(question.rid, held.accepted, held.state))

    def _accept(self, peer: str, question: Accept) -> None:
        key, ballot = ACCEPTOR + question.key, question.ballot
        held = self._acceptor(key)
        if ballot != held.accepted:  # else it was accepted before, and has been asked again
            if ballot < held.promised:
                self._route(peer, Refused(question.rid, held.promised))
                return
            promised = max(ballot, question.promise)
            self.ballot_counter_seen = max(self.ballot_counter_seen, promised[0])
            self._bound_ballots(promised[0])
            self._journal.put(key, Acceptor(promised, ballot, question.state))
        self._journal.when_durable(key, peer, Accepted(question.rid))

    def _bound_ballots(self, counter: int) -> None:
        if counter > self.ballot_bound:
            self.ballot_bound = counter + BALLOTS_AHEAD
            self._journal.put(BALLOTS, Note(self.ballot_bound))

    def _ballot_bound(self) -> int:
        held = self._journal.get(BALLOTS)
        return int(held.content) if isinstance(held, Note) else 0

    def _acceptor(self, key: str) -> Acceptor:
        held = self._journal.get(key)
        if held is None:
            return UNTOUCHED
        if isinstance(held, Acceptor):
            return held
        raise TypeError(f"storage key {key!r} holds {type(held).__name__}, not an Acceptor")
