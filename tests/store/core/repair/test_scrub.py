"""Bit rot is found, mended from the others, and never lets an acceptor break its word."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from checkers.linear import Linearizable
from checkers.models import CasRegister
from checkers.verdict import Status
from store.core.machine import DamagedRecord, FromPeer, Persist
from store.core.messages import (
    NO_BALLOT,
    Acceptor,
    Admin,
    Ballot,
    Done,
    Failed,
    Found,
    Get,
    Hint,
    Member,
    Note,
    Prepare,
    Put,
    Record,
    Register,
)
from store.core.options import SECOND
from store.core.ownership.layout import Placement, first_layout
from store.core.procedure import Group
from store.core.repair import scrub
from store.core.replica import Replica
from tests.support.mending import FAST, Mending, cell
from tests.support.soup import Clients, Kept, Soup

STILL = replace(FAST, compare_nanos=0)


def written(
    seed: int = 1, nodes: int = 3, replication: int = 3, core: Any = STILL, **network: float
) -> Mending:
    mending = Mending(seed, nodes, replication, core, **network)
    mending.start()
    mending.run(1)
    for i in range(40):
        assert isinstance(mending.ask("n1", Put(f"k{i}", b"v%d" % i, "all"), 10), Done)
        if i % 4 == 0:
            assert isinstance(mending.ask("n2", Put(f"r{i}", b"r%d" % i, "linearizable"), 10), Done)
    mending.run(1)
    return mending


def rot(mending: Mending, node: str, prefix: str, share: float = 1.0) -> list[str]:
    rng = random.Random(1)
    disk = mending.disk(node)
    return disk.rot([key for key in disk.readable(prefix) if rng.random() < share])


@pytest.mark.parametrize(("nodes", "replication"), [(3, 3), (5, 3), (5, 5), (2, 2)])
def test_damaged_data_are_mended_from_the_others(nodes: int, replication: int) -> None:
    mending = written(nodes=nodes, replication=replication, loss=0.02)
    before = mending.data("n1")
    rotten = rot(mending, "n1", "v/", 0.5)
    assert len(rotten) > 3
    assert mending.data("n1") != before
    answer = mending.ask("n1", Admin("scrub"), 30)
    assert isinstance(answer, Done), answer
    assert f"{len(rotten)} damaged, {len(rotten)} mended" in answer.detail
    assert mending.data("n1") == before
    assert mending.status("n1")["scrub"]["not_mended"] == {}


def test_damage_that_a_reader_meets_is_mended_at_once() -> None:
    mending = written()
    rot(mending, "n1", "v/k1")
    assert mending.ask("n3", Get("k1", "quorum")) == Found(1, b"v1")
    mending.run(1)
    assert mending.data("n1")["k1"].value == b"v1"


def test_a_scrub_goes_through_everything_in_its_time_also_if_the_node_restarts() -> None:
    mending = Mending(core=replace(STILL, scrub_nanos=20 * SECOND))
    for node in mending.names:
        for i in range(1000):
            mending.plant(node, f"v/k{i}", cell(1, b"x"))
    mending.disk("n1").rot(["v/k999"])
    mending.start()
    mending.run(8)
    assert 0 < mending.status("n1")["scrub"]["scanned"] < 900
    mending.kill("n1")
    mending.start("n1")
    mending.run(14)
    assert "k999" in mending.data("n1")
    assert mending.status("n1")["scrub"]["scanned"] < 1000


def test_if_all_copies_are_damaged_it_says_which_key_and_goes_on_with_the_others() -> None:
    mending = written()
    for node in mending.names:
        mending.disk(node).rot(["v/k3"])
    mending.disk("n1").rot(["v/k4"])
    answer = mending.ask("n1", Admin("scrub"), 10)
    assert isinstance(answer, Failed)
    assert "1 left, 'v/k3' 0 of the 2 other replicas needed have answered, n2, n3 cannot" in answer.text
    assert "k4" in mending.data("n1")
    assert "v/k3" in mending.status("n1")["scrub"]["not_mended"]


def test_if_all_other_copies_but_one_are_damaged_that_one_has_to_do() -> None:
    mending = written()
    for node in ("n1", "n2"):
        mending.disk(node).rot(["v/k3"])
    assert isinstance(mending.ask("n1", Admin("scrub"), 10), Done)
    assert isinstance(mending.ask("n2", Admin("scrub"), 10), Done)
    assert mending.alike()
    assert mending.status("n1")["scrub"]["doubtful"] == 1


def test_of_damaged_acceptors_too_many_stay_silent() -> None:
    """What both of them had accepted may have been chosen, and nobody else knows of it."""
    mending = written()
    for node in ("n1", "n2"):
        mending.disk(node).rot(["p/r4"])
    answer = mending.ask("n1", Admin("scrub"), 10)
    assert isinstance(answer, Failed)
    assert "'p/r4'" in answer.text
    assert "n2 cannot" in answer.text
    assert isinstance(mending.ask("n3", Get("r4", "linearizable")), Failed)


def test_what_only_one_replica_had_is_reported_as_lost() -> None:
    mending = written()
    mending.plant("n1", "v/only here", cell(1, b"x"))
    mending.disk("n1").rot(["v/only here"])
    assert isinstance(mending.ask("n1", Admin("scrub"), 10), Done)
    assert mending.status("n1")["scrub"]["lost"] == 1
    assert not mending.disk("n1").scan("v/only", "", 1)


def test_too_few_others_do_not_mend_and_when_they_are_back_they_do() -> None:
    """The one who answers may have missed a write that the damaged one had confirmed."""
    mending = written()
    rot(mending, "n1", "v/k1")
    mending.kill("n3")
    answer = mending.ask("n1", Admin("scrub"), 8)
    assert isinstance(answer, Failed)
    assert "1 of the 2 other replicas needed have answered" in answer.text
    assert "k1" not in mending.data("n1")
    mending.start("n3")
    mending.until(lambda: "k1" in mending.data("n1"), 20)


@pytest.mark.parametrize(("nodes", "replication"), [(3, 3), (5, 5), (5, 3)])
def test_damaged_acceptors_rejoin_with_what_was_chosen_and_a_higher_ballot(
    nodes: int, replication: int
) -> None:
    mending = written(nodes=nodes, replication=replication, loss=0.02)
    before = mending.data("n1", "p/")
    rotten = rot(mending, "n1", "p/r")
    assert rotten
    answer = mending.ask("n1", Admin("scrub"), 60)
    assert isinstance(answer, Done), answer
    for key, acceptor in mending.data("n1", "p/").items():
        if f"p/{key}" in rotten:
            assert acceptor.promised > before[key].promised
            assert acceptor.accepted == acceptor.promised
            # What this one had may have been less: a message was lost on its way to it.
            assert acceptor.state is not None
            assert acceptor.state.value == key.encode()
    for i in range(0, 40, 4):
        assert mending.ask("n1", Get(f"r{i}", "linearizable"), 5) == Found(1, b"r%d" % i)


def promised_and_forgotten() -> Ballot:
    """n1 alone has promised a high ballot, whose proposer may yet come back to that; then it has restarted,
    lost the record and mended it. What it then has promised."""
    mending = written()
    ballot = (1_000, "n2")
    process = mending.cluster._hosts["n1"].process
    assert process is not None
    process.feed(FromPeer("n2", Prepare(1, 1, "r4", ballot)))
    mending.run(0.1)
    assert mending.data("n1", "p/")["r4"].promised == ballot
    mending.kill("n1")
    mending.start("n1")
    mending.disk("n1").rot(["p/r4"])
    assert isinstance(mending.ask("n1", Admin("scrub"), 10), Done)
    promised: Ballot = mending.data("n1", "p/")["r4"].promised
    return promised


def test_a_promise_that_nobody_else_knows_of_is_kept_over_damage_and_restart() -> None:
    assert promised_and_forgotten() > (1_000, "n2")


def test_without_the_bound_on_its_ballots_it_would_be_broken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrub.Scrub, "_ballot", lambda self: self._proposer.ballot())
    assert promised_and_forgotten() < (1_000, "n2")


def test_records_of_what_the_node_does_not_keep_any_more_are_dropped() -> None:
    mending = Mending(nodes=5, replication=2, core=STILL)
    place = Placement(first_layout(mending.names, 2))
    foreign = next(key for key in map(str, range(100)) if "n1" not in place.replicas(key)[0])
    mending.plant("n1", f"v/{foreign}", cell(1, b"x"))
    mending.plant("n1", f"p/{foreign}", Acceptor((1, "n1"), (1, "n1"), Register(b"x", 1, ())))
    mending.plant("n1", "p/\x00layout/1", Acceptor((1, "n1"), NO_BALLOT, None))
    mending.plant("n1", "h/n2/k", Hint("n2", cell(1, b"x"), 1))
    mending.plant("n1", "m/scrub", Note("v/k"))
    planted = [f"v/{foreign}", f"p/{foreign}", "p/\x00layout/1", "h/n2/k", "m/scrub"]
    mending.start()
    mending.disk("n1").rot(planted)
    assert isinstance(mending.ask("n1", Admin("scrub"), 10), Done)
    mending.run(1)
    assert not set(planted) & set(mending.disk("n1").scan("", "", 1000))


def test_a_note_that_a_node_cannot_do_without_ends_it() -> None:
    mending = written()
    mending.disk("n1").rot(["m/ballots"])
    mending.ask("n1", Admin("scrub"), 2)
    mending.run(1)
    assert mending.cluster.states()["n1"] == "down"
    assert "'m/ballots' is damaged" in mending.cluster._hosts["n1"].damage or ""


@pytest.mark.parametrize("n", range(2, 9))
def test_enough_others_share_a_node_with_every_majority(n: int) -> None:
    """Counted without the damaged node, and also with each other."""
    nodes = tuple([f"n{i}" for i in range(n)])
    peers, need = scrub._without("n0", nodes)
    majority = n // 2 + 1
    assert peers == nodes[1:]
    assert need <= len(peers)
    assert need + (majority - 1) > len(peers)
    assert 2 * need > len(peers)
    assert scrub._without("x", nodes) == Group(nodes, majority)


def test_while_keys_move_enough_of_both_lists_have_to_answer() -> None:
    layout = first_layout(("a", "b", "c", "d"), 3)
    place = Placement(replace(layout, epoch=2, next=(*layout.owners, Member("e", 7))))

    class Stub:
        class _port:
            name = "a"

    for key in map(str, range(100)):
        lists = place.replicas(key)
        groups = scrub.Scrub._others(Stub, place, key)  # type: ignore[arg-type]
        if not any("a" in nodes for nodes in lists):
            assert groups == ()
        else:
            assert [group.need for group in groups] == [2] * len(lists)
            assert all("a" not in group.peers for group in groups)


# In the soup: acceptors rot at any moment, and registers stay linearizable.


class Rotting(Kept):
    def __init__(self) -> None:
        super().__init__()
        self.rotten: dict[str, None] = {}

    def get(self, key: str, default: Any = None) -> Record | None:
        if key in self.rotten:
            raise DamagedRecord(key)
        return super().get(key, default)

    def keep(self, persist: Persist) -> None:
        self.rotten.pop(persist.key, None)
        super().keep(persist)


class RottingSoup(Soup):
    """One acceptor is damaged at a time: where a majority is, promises are lost for good."""

    def start(self, name: str) -> None:
        if not isinstance(self.disks[name], Rotting):
            self.disks[name] = Rotting()
        super().start(name)

    def rot(self, key: str) -> bool:
        disks = [disk for disk in self.disks.values() if isinstance(disk, Rotting)]
        if any(disk.rotten for disk in disks):
            return False
        disk = self.rng.choice(disks)
        if f"p/{key}" in disk:
            disk.rotten[f"p/{key}"] = None
        return True


def brewed(seed: int, nodes: int) -> tuple[Clients, int]:
    """A run in which acceptors rot; how many were mended."""
    soup = RottingSoup(seed, nodes=nodes, replication=nodes, loss=0.1, twice=0.1)
    clients = Clients(soup, "linearizable")
    for _ in range(50):
        clients.invoke()
        for _ in range(soup.rng.choice((0, 5, 30, 60))):
            soup.stir()
        if soup.rng.random() < 0.3:
            soup.rot(clients.key)
        if soup.rng.random() < 0.03:
            soup.crash(soup.rng.choice(soup.names))
    for _ in range(3000):
        if not soup.stir():
            break
    return clients, sum([node._scrub.counts["mended"] for node in soup.nodes.values()])


def judged(clients: Clients) -> Status:
    return Linearizable(CasRegister()).check(clients.history).status


@pytest.mark.parametrize("nodes", [3, 5])
def test_registers_stay_linearizable_while_acceptors_rot(nodes: int) -> None:
    mended = 0
    for seed in range(40):
        clients, count = brewed(seed, nodes)
        assert judged(clients) is Status.VALID, seed
        mended += count
    assert mended > 40


def _forgets_its_promises(monkeypatch: pytest.MonkeyPatch) -> None:
    restore = Replica.restore_acceptor
    monkeypatch.setattr(
        Replica,
        "restore_acceptor",
        lambda self, key, acceptor: restore(self, key, Acceptor(NO_BALLOT, NO_BALLOT, None)),
    )


def _believes_one_other(monkeypatch: pytest.MonkeyPatch) -> None:
    without = scrub._without
    monkeypatch.setattr(scrub, "_without", lambda name, nodes: without(name, nodes)._replace(need=1))


def _asks_with_a_ballot_of_its_own_making(monkeypatch: pytest.MonkeyPatch) -> None:
    """It neither knows nor asks what it may have promised: it takes what it finds, as accepted long ago."""
    restore = Replica.restore_acceptor
    monkeypatch.setattr(
        Replica,
        "restore_acceptor",
        lambda self, key, acceptor: restore(
            self, key, replace(acceptor, promised=NO_BALLOT, accepted=NO_BALLOT)
        ),
    )


@pytest.mark.parametrize(
    "break_it", [_forgets_its_promises, _believes_one_other, _asks_with_a_ballot_of_its_own_making]
)
def test_an_acceptor_that_rejoins_in_another_way_is_convicted(
    break_it: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_it(monkeypatch)
    assert any(judged(brewed(seed, 3)[0]) is Status.INVALID for seed in range(300))
