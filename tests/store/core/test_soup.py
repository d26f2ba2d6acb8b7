"""The protocols in the soup, where anything may happen in any order; and proof that the soup would notice."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from checkers.linear import Linearizable
from checkers.models import CasRegister
from checkers.verdict import Status
from store.core import caspaxos
from store.core.journal import Journal
from store.core.messages import Accept, Accepted, Acceptor, PeerMessage, Register
from store.core.procedure import Answers, Coordination
from store.core.replica import ACCEPTOR, Replica
from tests.support.soup import Clients, brew

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
        clients = brew(seed, "linearizable", 40, crashes=False, loss=0.15, twice=0.15)
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
        return promises[0].accepted, promises[0].state  # type: ignore[union-attr]

    monkeypatch.setattr(caspaxos, "_highest", first)


@pytest.mark.parametrize(
    "break_it",
    [
        _answers_before_it_is_durable,
        _accepts_whatever_it_promised,
        _applies_its_change_again_on_every_retry,
        _proposes_without_adopting,
    ],
)
def test_a_broken_protocol_is_convicted(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    assert any(
        judged(brew(seed, "linearizable", 40, loss=0.1, twice=0.1)) is Status.INVALID for seed in range(400)
    )
