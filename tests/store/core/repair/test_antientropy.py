"""Replicas that differ come to hold the same, whatever the network does, and as gently as they are told."""

from __future__ import annotations

import random
from typing import Any

import pytest
from msgspec.structs import replace

from harness.sim.world import SECOND
from store.core.data.datum import merge
from store.core.messages import (
    Admin,
    Cell,
    Compare,
    Compared,
    Datum,
    Delete,
    Done,
    Failed,
    Itemize,
    Itemized,
    Member,
    Obtain,
    Obtained,
    Put,
    Siblings,
)
from store.core.node import Node
from store.core.ownership.layout import Placement, first_layout
from store.core.repair.inventory import others
from tests.support.mending import COMPARING, FAST, Mending, cell


def planted(mending: Mending, rng: random.Random, keys: int) -> dict[str, Datum]:
    """Each node gets a version of its own of some keys; what all of it together is."""
    whole: dict[str, Datum] = {}
    for i in range(keys):
        for node in rng.sample(mending.names, rng.randint(1, len(mending.names))):
            datum: Datum
            if i % 5 == 0:
                datum = Siblings((i, 0, "n1"), ((node, rng.randint(1, 2), (b"%d" % i,)),))
            else:
                datum = cell(rng.randint(1, 3), rng.choice([None, b"value %d" % i]), node)
            mending.plant(node, f"v/key {i}", datum)
            whole[f"key {i}"] = merge(whole.get(f"key {i}"), datum)
    return whole


@pytest.mark.parametrize("seed", range(4))
def test_whatever_replicas_hold_they_come_to_hold_all_of_it(seed: int) -> None:
    mending = Mending(seed, loss=0.05, twice=0.05, core=COMPARING)
    whole = planted(mending, random.Random(seed), 300)
    mending.start()
    mending.until(lambda: all(mending.data(node) == whole for node in mending.names), 30)
    mending.until(lambda: all(mending.status(n)["repair"]["converged"] for n in mending.names), 30)


def test_messages_for_equal_replicas_are_few() -> None:
    """A comparison of equals is one question and its answer."""
    mending = Mending(core=COMPARING)
    for node in mending.names:
        for i in range(500):
            mending.plant(node, f"v/key {i}", cell(1, b"x"))
    sent: list[Any] = []
    send = mending.cluster._network.send
    mending.cluster._network.send = lambda *message: (sent.append(message[2]), send(*message))[1]  # type: ignore[method-assign]
    mending.start()
    mending.run(5)
    kinds = [message for message in sent if isinstance(message, Compare | Compared)]
    assert len(kinds) <= 2 * 3 * 5 / 0.2
    assert not any(isinstance(message, Itemize | Obtain) for message in sent)


def test_only_those_who_keep_a_key_get_it() -> None:
    mending = Mending(nodes=5, replication=2, core=COMPARING)
    place = Placement(first_layout(mending.names, 2))
    for i in range(200):
        key = f"key {i}"
        mending.plant(place.replicas(key)[0][i % 2], f"v/{key}", cell(1, b"%d" % i))
    mending.start()
    mending.run(10)
    for node in mending.names:
        kept = [f"key {i}" for i in range(200) if node in place.replicas(f"key {i}")[0]]
        assert sorted(mending.data(node)) == sorted(kept)


def test_while_keys_move_both_lists_are_compared() -> None:
    layout = first_layout(("a", "b", "c"), 2)
    joint = Placement(replace(layout, epoch=2, next=(*layout.owners, Member("d", 7))))
    moving = [key for key in map(str, range(200)) if len(joint.replicas(key)) == 2]
    assert moving
    for key in moving:
        old, new = joint.replicas(key)
        for node in {*old, *new}:
            assert set(others(joint, node, key)) == {*old, *new} - {node}
        for node in {"a", "b", "c", "d"} - {*old, *new}:
            assert others(joint, node, key) == ()


def test_when_a_node_has_left_the_new_keepers_are_compared() -> None:
    core = replace(FAST, tombstone_grace_nanos=2 * SECOND, hint_life_nanos=SECOND)
    mending = Mending(3, nodes=5, replication=3, core=core, loss=0.02)
    mending.start()
    mending.run(1)
    for i in range(60):
        assert isinstance(mending.ask("n1", Put(f"k{i}", b"v", "quorum")), Done)
        if i < 20:
            assert isinstance(mending.ask("n2", Delete(f"k{i}", "quorum")), Done)
    assert isinstance(mending.ask("n1", Admin("leave", {"node": "n5"}), 30), Done)
    rest = mending.names[:4]
    place = Placement(first_layout(rest, 3))
    lost = next(f"k{i}" for i in range(20, 60) if place.replicas(f"k{i}")[0][2] == "n1")
    mending.run(3)
    mending.kill("n1")
    mending.plant("n1", f"v/{lost}", None)
    mending.start("n1")
    mending.run(15)
    for node in rest:
        kept = [f"k{i}" for i in range(20, 60) if node in place.replicas(f"k{i}")[0]]
        assert sorted(mending.data(node)) == sorted(kept)


def test_after_a_partition_all_is_the_same_and_they_say_so() -> None:
    mending = Mending(nodes=5, replication=5, loss=0.02)
    mending.start()
    mending.run(2)
    mending.cut_off("n4", "n5")
    mending.run(1)
    for i in range(40):
        for node in ("n1", "n5"):
            assert isinstance(mending.ask(node, Put(f"k{i % 30}", f"{node} {i}".encode(), "one")), Done)
    mending.ask("n2", Delete("k0", "one"))
    mending.run(3)
    assert not mending.alike()
    before = {
        node: len([e for e in mending.events("converged") if e.startswith(node)]) for node in mending.names
    }
    mending.heal()
    mending.until(mending.alike, 20)
    mending.run(8)
    for node in mending.names:
        said = [event for event in mending.events("converged") if event.startswith(node)]
        assert len(said) > before[node], node
        assert "'divergent_keys': 0" in said[-1]
    # The last write to each key has won, everywhere.
    held = mending.data("n1")
    assert set(held) == {f"k{i}" for i in range(30)}


def test_nodes_that_crash_while_they_mend_mend_in_the_end() -> None:
    mending = Mending(7, core=COMPARING, loss=0.05)
    whole = planted(mending, random.Random(7), 400)
    mending.start()
    rng = random.Random(1)
    for _ in range(6):
        mending.run(rng.random())
        victim = rng.choice(mending.names)
        mending.kill(victim)
        mending.run(rng.random())
        mending.start(victim)
    mending.until(lambda: all(mending.data(node) == whole for node in mending.names), 30)


@pytest.mark.parametrize("seed", range(2))
def test_in_a_storm_nothing_acknowledged_is_lost_and_all_is_the_same_afterwards(seed: int) -> None:
    """Loss, duplicates, partitions, crashes and bit rot. Each key is written once, so that an acknowledged
    one must be there."""
    core = replace(FAST, scrub_nanos=2 * SECOND)
    mending = Mending(seed, nodes=5, replication=3, core=core, loss=0.03, twice=0.03)
    place = Placement(first_layout(mending.names, 3))
    rng = random.Random(seed)
    mending.start()
    mending.run(1)
    acknowledged: dict[str, bytes] = {}
    for turn in range(12):
        down = rng.choice(mending.names)
        match turn % 4:
            case 0:
                mending.cut_off(*rng.sample(mending.names, 2))
            case 1:
                mending.kill(down)
            case 2:
                disk = mending.disk(down)
                disk.rot([key for key in disk.readable("v/") if rng.random() < 0.3])
        for i in range(25):
            key, value = f"key {turn} {i}", b"%d" % rng.getrandbits(30)
            answer = mending.ask(rng.choice(mending.names), Put(key, value, "quorum"), 0.3)
            if isinstance(answer, Done):
                acknowledged[key] = value
        if turn % 4 == 0:
            mending.heal()
        elif turn % 4 == 1:
            mending.start(down)
        else:
            mending.run(4)  # so that what rots next has its copies
    mending.run(20)
    assert len(acknowledged) > 150
    held = {node: mending.data(node) for node in mending.names}
    for key, value in acknowledged.items():
        assert {node for node in mending.names if key in held[node]} == set(place.replicas(key)[0])
        assert all(held[node][key].value == value for node in place.replicas(key)[0]), key
    for key in {key for kept in held.values() for key in kept}:
        assert len({held[node].get(key) for node in place.replicas(key)[0]}) == 1


def test_mending_keeps_to_its_bandwidth() -> None:
    rate, size = 100_000, 5_000
    mending = Mending(core=replace(COMPARING, repair_bytes_per_second=rate))
    for i in range(400):
        mending.plant("n1", f"v/key {i}", cell(1, bytes(size)))
    mending.start()
    began = mending.world.now
    mending.until(mending.alike, 60)
    took_s = (mending.world.now - began) / SECOND
    # Three nodes move at most so much each, and a page more; 2 MB are to be moved to two nodes.
    assert took_s > (2 * 400 * size - 3 * 600_000) / (3 * rate)


def test_an_operator_has_it_mended_now() -> None:
    mending = Mending(core=replace(FAST, compare_nanos=0))
    whole = planted(mending, random.Random(3), 200)
    mending.start()
    mending.run(1)
    for node in mending.names:
        answer = mending.ask(node, Admin("repair"), 10)
        assert isinstance(answer, Done), answer
    assert all(mending.data(node) == whole for node in mending.names)
    assert mending.ask("n1", Admin("repair"), 10) == Done(
        1, "compared with 2 other nodes; 0 keys mended here, 0 at others"
    )


@pytest.mark.parametrize("core", [replace(FAST, compare_nanos=0), replace(COMPARING, compare_nanos=0)])
def test_an_operator_hears_who_could_not_be_reached(core: Any) -> None:
    mending = Mending(core=core)
    mending.start()
    mending.plant("n1", "v/k", cell(1, b"x"))
    mending.run(2)
    mending.kill("n3")
    mending.run(8)
    answer = mending.ask("n1", Admin("repair"), 8)
    assert isinstance(answer, Failed)
    assert "not compared to the end with n3; " in answer.text


class Liar(Node):
    """Answers comparisons with what was not asked for, does not exist, or is somebody else's."""

    def send(self, peer: str, message: Any) -> None:
        rng = self.rng
        if self.name == "n3" and peer != self.name:
            match message:
                case Compared(rid, digests):
                    wrong = [(), digests[1:], tuple([rng.getrandbits(64) for _ in digests])]
                    message = Compared(rid, rng.choice(wrong))
                case Itemized(rid, entries):
                    keys = [(f"key {rng.randrange(400)}", rng.getrandbits(64)) for _ in range(5)]
                    message = Itemized(rid, rng.choice([entries, tuple(keys)]), rng.random() < 0.5)
                case Obtained(rid):
                    data = ((f"key {rng.randrange(400)}", Cell((1 << 60, 0, "n3"), b"a lie")),)
                    message = Obtained(rid, data, rng.randint(1, 50))
        super().send(peer, message)


def test_answers_that_make_no_sense_do_no_harm() -> None:
    """What a replica says that it holds is believed; that is all that it can do."""
    mending = Mending(2, nodes=4, replication=2, core=COMPARING, make=Liar)
    place = Placement(first_layout(mending.names, 2))
    rng = random.Random(2)
    for i in range(300):
        key = f"key {i}"
        mending.plant(rng.choice(place.replicas(key)[0]), f"v/{key}", cell(1, b"true"))
    mending.start()
    mending.run(20)
    for node in ("n1", "n2", "n4"):
        for key, datum in mending.data(node).items():
            keepers = place.replicas(key)[0]
            assert node in keepers
            assert datum.value == b"true" or "n3" in keepers
    kept_by_honest = [f"key {i}" for i in range(300) if "n3" not in place.replicas(f"key {i}")[0]]
    for key in kept_by_honest:
        assert all(key in mending.data(node) for node in place.replicas(key)[0])


def test_who_has_not_compared_with_all_others_yet_does_not_claim_that_they_hold_the_same() -> None:
    mending = Mending(core=replace(FAST, compare_nanos=10 * SECOND))
    mending.start()
    mending.run(1)
    assert [mending.status(node)["repair"]["converged"] for node in mending.names] == [False] * 3
    mending.run(30)
    assert [mending.status(node)["repair"]["converged"] for node in mending.names] == [True] * 3


def test_a_replica_whose_disk_hangs_takes_in_no_more_than_it_may_have_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("store.core.node.UNSYNCED_BYTES_MAX", 1 << 20)
    mending = Mending()
    for i in range(100):
        for node in ("n1", "n2"):
            mending.plant(node, f"v/k{i}", cell(i + 1, b"x" * 100_000))
    mending.start()
    mending.disk("n3").slow(1e9)
    mending.run(10)
    process = mending.cluster._hosts["n3"].process
    assert process is not None
    assert process._machine.journal.backlog_bytes < 2 << 20  # type: ignore[attr-defined]
    mending.disk("n3").slow(1)
    mending.kill("n3")
    mending.start("n3")
    mending.until(mending.alike, 30)
