"""Each of these breaks one thing that docs/protocols/ownership.md rests on, and is convicted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from store.core import caspaxos
from store.core.caspaxos import Whom
from store.core.coordination import Coordination
from store.core.machine import DamagedRecord
from store.core.messages import Done, Found, Get, Layout, Pulled, Put, Question, Unable
from store.core.node import Node
from store.core.ownership import enrolment
from store.core.ownership.epochs import Epochs, Standing
from store.core.ownership.layout import Placement
from store.core.ownership.steward import Steward
from store.core.ownership.transfer import Transfer
from store.core.proposer import Quorums
from tests.support.owners import Owners, Voyage, is_linearizable

Patch = pytest.MonkeyPatch


def _serves_whatever_it_has_forgotten(patch: Patch) -> None:
    def stands(self: Epochs) -> Standing:
        place = self.placement
        return "serves" if place is not None and place.lives(self._port.name) else "newcomer"

    patch.setattr(Epochs, "_stands", stands)


def _skips_the_registers(patch: Patch) -> None:
    def settle(self: Transfer, place: Placement, name: str, page: Pulled, keys: list[str]) -> None:
        self._turn_page(place, name, page)

    patch.setattr(Transfer, "_settle", settle)


def _skips_the_data(patch: Patch) -> None:
    got = Transfer._got

    def without(self: Transfer, place: Placement, name: str, page: Pulled | None) -> None:
        got(self, place, name, page and Pulled(page.rid, (), page.registers, page.through, page.more))

    patch.setattr(Transfer, "_got", without)


def _asks_only_the_new_owners(patch: Patch) -> None:
    def owners(c: Coordination, key: str) -> Whom:
        def whom() -> Quorums:
            place = c.port.placement
            assert place is not None
            return Quorums(place.epoch, c.groups(place.replicas(key)[-1:], lambda n: n // 2 + 1))

        return whom

    patch.setattr(caspaxos, "owners", owners)


def _answers_whatever_the_epoch(patch: Patch) -> None:
    def question(self: Node, peer: str, question: Question) -> None:
        try:
            if self.placement is not None and self._epochs.serves:
                self._questions[type(question)](peer, question)
        except DamagedRecord:
            self.send(peer, Unable(question.rid, "unavailable"))

    patch.setattr(Node, "_question", question)


def _does_not_wait_for_those_who_pull(patch: Patch) -> None:
    patch.setattr(Steward, "unmoved", lambda self: [])


def _goes_by_a_layout_before_it_is_durable(patch: Patch) -> None:
    def adopt(self: Epochs, layout: Layout) -> None:
        mine = 0 if self.placement is None else self.placement.epoch
        if layout.epoch > mine:
            place = Placement(layout)
            self._go_by(place, self._had_part or self.serves or self._is_named(place), self._past)

    patch.setattr(Epochs, "adopt", adopt)


def convicted(seeds: range, replication: int = 3, **run: Any) -> int | None:
    """The first seed that shows it."""
    for seed in seeds:
        voyage = Voyage(seed, replication=replication)
        try:
            voyage.run(**run)
        except AssertionError:
            continue  # it has not come to an end: that alone is no wrong answer
        if voyage.lost or not all(is_linearizable(clients) for clients in voyage.clients):
            return seed
    return None


@pytest.mark.parametrize(
    ("break_it", "run"),
    [
        (_serves_whatever_it_has_forgotten, {"wipes": 0.1}),
        (_skips_the_registers, {}),
        (_skips_the_data, {}),
        (_asks_only_the_new_owners, {"replication": 1}),
        (_answers_whatever_the_epoch, {"replication": 1}),
        (_does_not_wait_for_those_who_pull, {}),
        (_goes_by_a_layout_before_it_is_durable, {"blackouts": 0.1}),
    ],
)
def test_broken_ownership_is_convicted(
    break_it: Callable[[Patch], None], run: dict[str, Any], monkeypatch: Patch
) -> None:
    break_it(monkeypatch)
    assert convicted(range(150), **run) is not None


def loses_what_was_acknowledged() -> bool:
    """One of three is late, another loses its disk, and the third, which alone has both the data and the
    memory, is away."""
    soup = Owners(1, nodes=3, loss=0.0, twice=0.0)
    soup.lie_down("n3")
    pass_time(soup)
    wrote = any(isinstance(soup.asked("n1", Put("k", b"v", "linearizable")), Done) for _ in range(9))
    pass_time(soup)
    soup.lie_down("n2")
    soup.wipe("n1")
    soup.get_up("n3")
    pass_time(soup)
    found = soup.asked("n3", Get("k", "linearizable"))
    return wrote and isinstance(found, Found) and found.value is None


def pass_time(soup: Owners) -> None:
    end = soup.now + 3_000_000_000
    while soup.now < end and soup.stir():
        pass


def test_a_node_that_counts_itself_among_its_witnesses_is_convicted(monkeypatch: Patch) -> None:
    """So a majority of all, itself included, would not do."""
    assert not loses_what_was_acknowledged()
    monkeypatch.setattr(enrolment, "witnesses", lambda nodes: nodes // 2)
    assert loses_what_was_acknowledged()
