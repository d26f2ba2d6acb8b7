"""A replica: keeps last-write-wins cells and CASPaxos acceptors, and answers coordinators' questions.

The acceptor follows Rystsov, "CASPaxos: Replicated State Machines without logs" (2018), section 2.2, with one
addition: `Query` tells what was accepted and promises nothing (see `caspaxos.read`). A promise or an accepted
state is durable before it is answered; a refusal promises nothing, so it need not wait.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from store.core.hlc import HybridClock, newer
from store.core.journal import Journal, Route
from store.core.messages import (
    NO_BALLOT,
    Accept,
    Accepted,
    Acceptor,
    Cell,
    Fetch,
    Fetched,
    Prepare,
    Promise,
    Queried,
    Query,
    Refused,
    Store,
    Stored,
)

UNTOUCHED = Acceptor(NO_BALLOT, NO_BALLOT, None)

CELL = "v/"
ACCEPTOR = "p/"
"""Storage keys: a user's key has a cell and an acceptor side by side, and they know nothing of each other."""


class Replica:
    """`handlers` takes each kind of question, with the node that asks."""

    def __init__(self, journal: Journal, route: Route, clock: HybridClock) -> None:
        self._journal = journal
        self._route = route
        self._clock = clock
        self.ballot_counter_seen = 0
        self.handlers: dict[type, Callable[[str, Any], None]] = {
            Fetch: self._fetch,
            Store: self._store,
            Query: self._query,
            Prepare: self._prepare,
            Accept: self._accept,
        }

    def _fetch(self, peer: str, question: Fetch) -> None:
        key = CELL + question.key
        self._journal.when_durable(key, peer, Fetched(question.rid, self._cell(key)))

    def _store(self, peer: str, question: Store) -> None:
        key = CELL + question.key
        held = self._cell(key)
        winner = newer(held, question.cell)
        if winner is not held and winner is not None:
            self._clock.observe(winner.stamp)
            self._journal.put(key, winner)
        self._journal.when_durable(key, peer, Stored(question.rid))

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
        self._journal.put(key, Acceptor(ballot, held.accepted, held.state))
        self._journal.when_durable(key, peer, Promise(question.rid, held.accepted, held.state))

    def _accept(self, peer: str, question: Accept) -> None:
        key, ballot = ACCEPTOR + question.key, question.ballot
        held = self._acceptor(key)
        if ballot < held.promised:
            self._route(peer, Refused(question.rid, held.promised))
            return
        if ballot != held.accepted:
            self._journal.put(key, Acceptor(ballot, ballot, question.state))
        self._journal.when_durable(key, peer, Accepted(question.rid))

    def _cell(self, key: str) -> Cell | None:
        held = self._journal.get(key)
        if held is None or isinstance(held, Cell):
            return held
        raise TypeError(f"storage key {key!r} holds {type(held).__name__}, not a Cell")

    def _acceptor(self, key: str) -> Acceptor:
        held = self._journal.get(key)
        if held is None:
            return UNTOUCHED
        if isinstance(held, Acceptor):
            return held
        raise TypeError(f"storage key {key!r} holds {type(held).__name__}, not an Acceptor")
