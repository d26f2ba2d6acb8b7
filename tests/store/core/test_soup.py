"""The protocols in the soup, where anything may happen in any order; and proof that the soup would notice."""

from __future__ import annotations

from collections.abc import Callable, Generator

import pytest
from msgspec.structs import replace

from checkers.linear import Linearizable
from checkers.models import CasRegister
from checkers.verdict import Status
from store.core import caspaxos
from store.core.coordination import Coordination
from store.core.journal import Journal
from store.core.machine import Effect, Send
from store.core.messages import (
    Accept,
    Accepted,
    Acceptor,
    Ballot,
    PeerMessage,
    Prepare,
    Promise,
    Refused,
    Register,
)
from store.core.procedure import Answers, Wish
from store.core.proposer import Proposer, Quorums, Ready
from store.core.replica import ACCEPTOR, Replica
from tests.support.soup import Clients, Soup, brew

SEEDS = range(150)


def judged(clients: Clients) -> Status:
    return Linearizable(CasRegister()).check(clients.history).status


@pytest.mark.parametrize("nodes", [1, 3, 5])
def test_linearizable_registers_are(nodes: int) -> None:
    replication = min(nodes, 3)
    outcomes = dict.fromkeys(("ok", "fail", "info"), 0)
    for seed in SEEDS:
        clients = brew(seed, "linearizable", 40, nodes=nodes, replication=replication)
        assert judged(clients) is Status.VALID, seed
        for kind, count in clients.counts.items():
            outcomes[kind] += count
    assert outcomes["ok"] > len(SEEDS) * 10


def test_five_replicas_are_no_different() -> None:
    for seed in SEEDS:
        assert judged(brew(seed, "linearizable", 40, nodes=5, replication=5)) is Status.VALID, seed


def test_no_change_is_made_twice_even_if_every_proposal_is_contended() -> None:
    """Written values are unique, so one that comes back after another is a violation."""
    for seed in SEEDS:
        clients = brew(seed, "linearizable", 40, crashes=0.0, loss=0.15, twice=0.15)
        assert judged(clients) is Status.VALID, seed


def test_last_write_wins_is_not_linearizable_and_the_soup_shows_it() -> None:
    assert any(judged(brew(seed, "one", 40)) is Status.INVALID for seed in SEEDS)


# Each of these breaks one thing that docs/protocols/caspaxos.md rests on.


def _answers_before_it_is_durable(monkeypatch: pytest.MonkeyPatch) -> None:
    def at_once(self: Journal, key: str, peer: str, message: PeerMessage) -> None:
        self._route(peer, message)

    monkeypatch.setattr(Journal, "when_durable", at_once)


def _accepts_whatever_it_promised(monkeypatch: pytest.MonkeyPatch) -> None:
    def accept(self: Replica, peer: str, question: Accept) -> None:
        key = ACCEPTOR + question.key
        held = self._acceptor(key)
        self._journal.put(key, Acceptor(max(held.promised, question.ballot), question.ballot, question.state))
        self._journal.when_durable(key, peer, Accepted(question.rid))

    monkeypatch.setattr(Replica, "_accept", accept)


def _applies_its_change_again_on_every_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    apply = caspaxos._apply

    def forgetful(c: Coordination, base: Register, me: object, decide: caspaxos.Decide) -> object:
        return apply(c, Register(base.value, base.version, ()), me, decide)  # type: ignore[arg-type]

    monkeypatch.setattr(caspaxos, "_apply", forgetful)


def _proposes_without_adopting(monkeypatch: pytest.MonkeyPatch) -> None:
    def first(promises: Answers) -> tuple[object, object]:
        return promises[0][1].accepted, promises[0][1].state  # type: ignore[union-attr]

    monkeypatch.setattr(caspaxos, "_highest", first)


def _accepts_without_promising_the_next_ballot(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Replica._accept

    def accept_only(self: Replica, peer: str, question: Accept) -> None:
        accept(self, peer, replace(question, promise=question.ballot))

    monkeypatch.setattr(Replica, "_accept", accept_only)


def _confirms_what_it_has_replaced_since(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = Replica._accept

    def confirm(self: Replica, peer: str, question: Accept) -> None:
        if question.ballot <= self._acceptor(ACCEPTOR + question.key).accepted:
            self._journal.when_durable(ACCEPTOR + question.key, peer, Accepted(question.rid))
        else:
            accept(self, peer, question)

    monkeypatch.setattr(Replica, "_accept", confirm)


def _believes_itself_promised_without_a_quorum(monkeypatch: pytest.MonkeyPatch) -> None:
    accept = caspaxos._accept

    def credulous(
        c: Coordination, key: str, quorums: Quorums, ballot: Ballot, state: Register, promise: Ballot
    ) -> Generator[Wish, Answers, Answers]:
        answers = yield from accept(c, key, quorums, ballot, state, promise)
        c.proposer.keep_ready(key, Ready(quorums, promise, state))
        return answers

    monkeypatch.setattr(caspaxos, "_accept", credulous)


@pytest.mark.parametrize(
    "break_it",
    [
        _answers_before_it_is_durable,
        _accepts_whatever_it_promised,
        _applies_its_change_again_on_every_retry,
        _proposes_without_adopting,
        _accepts_without_promising_the_next_ballot,
        _confirms_what_it_has_replaced_since,
        _believes_itself_promised_without_a_quorum,
    ],
)
def test_a_broken_protocol_is_convicted(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    assert any(
        judged(brew(seed, "linearizable", 40, crashes=0.15, loss=0.1, twice=0.1, diligence=0))
        is Status.INVALID
        for seed in range(400)
    )


# One ballot must have one state, and two things see to that. They matter so rarely that they get their scene.


class Choosy(Soup):
    """`passes` says of a message whether it gets through, by who sends it."""

    def __init__(self) -> None:
        self.passes: Callable[[str, Send], bool] = lambda source, send: True
        super().__init__(1, nodes=4, loss=0.0, twice=0.0, haste=0.0)

    def _carry_out(self, name: str, effect: Effect) -> None:
        if not isinstance(effect, Send) or self.passes(name, effect):
            super()._carry_out(name, effect)

    def without(self, node: str) -> None:
        """`node` is out of reach from now on, and nothing is under way."""
        self.messages.clear()
        self.passes = lambda source, send: node not in (source, send.peer)


def the_scene(is_first: bool, crashes: bool) -> Status:
    """n1 writes, and is heard by one keeper only of the key, c. It crashes at that, or gives up. Then it
    writes again, and is heard by the two others. What c and one of those say together is read, by each."""
    soup = Choosy()
    while not all(node.status()["serves"] for node in soup.nodes.values()):
        soup.stir()
    place = soup.nodes["n1"].placement
    assert place is not None
    keys = [str(i) for i in range(100)]
    key = next(key for key in keys if "n1" not in place.replicas(key)[0])
    a, b, c = place.replicas(key)[0]
    clients = Clients(soup, "linearizable", key)

    def served(node: str, f: str) -> None:
        clients.invoke(node, f)
        while soup.waiting:
            soup.stir()

    if not is_first:
        served("n1", "write")
    soup.passes = lambda source, send: isinstance(send.message, Prepare) != (send.peer == c) or source != "n1"
    clients.invoke("n1", "write")
    held = soup.disks[c].get(ACCEPTOR + key)
    while soup.waiting and (not crashes or soup.disks[c].get(ACCEPTOR + key) == held):
        soup.stir()
    assert soup.disks[c].get(ACCEPTOR + key) != held
    if crashes:
        soup.crash("n1")
    soup.without(c)
    served("n1", "write")
    soup.without(b)
    served(a, "read")
    served(c, "read")
    assert clients.counts == {"ok": 3 + (not is_first), "fail": 0, "info": 1}
    return judged(clients)


def _promises_a_ballot_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def prepare(self: Replica, peer: str, question: Prepare) -> None:
        key, ballot = ACCEPTOR + question.key, question.ballot
        held = self._acceptor(key)
        if ballot < held.promised:
            self._route(peer, Refused(question.rid, held.promised))
            return
        self._journal.put(key, Acceptor(ballot, held.accepted, held.state))
        self._journal.when_durable(key, peer, Promise(question.rid, held.accepted, held.state))

    monkeypatch.setattr(Replica, "_prepare", prepare)


def _uses_a_promise_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Proposer, "take_ready", lambda self, key, quorums: self._ready.get(key))


def test_one_ballot_has_one_state_although_its_proposer_forgets_it_in_a_crash(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its counter starts again, so only the acceptors can know."""
    assert the_scene(is_first=True, crashes=True) is Status.VALID
    _promises_a_ballot_again(monkeypatch)
    assert the_scene(is_first=True, crashes=True) is Status.INVALID


def test_one_ballot_has_one_state_although_it_was_promised_in_advance(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert the_scene(is_first=False, crashes=False) is Status.VALID
    _uses_a_promise_twice(monkeypatch)
    assert the_scene(is_first=False, crashes=False) is Status.INVALID
