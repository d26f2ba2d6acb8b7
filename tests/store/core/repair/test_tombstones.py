"""What was deleted stays deleted, and in the end nothing is left of it."""

from __future__ import annotations

import random
from collections.abc import Generator
from typing import Any

import pytest
from msgspec.structs import replace

from store.core.messages import Cell, Delete, Done, Found, Get, Put, Settle, Settled, Siblings
from store.core.node import Node
from store.core.options import MS, SECOND
from store.core.repair.tombstones import Entries, Tombstones
from tests.support.mending import FAST, Mending

GRACE_S = 2
BRIEF = replace(FAST, tombstone_grace_nanos=GRACE_S * SECOND, hint_life_nanos=SECOND)


def deleted_while_one_is_cut_off(seed: int, away_s: float, loss: float = 0.0) -> Mending:
    """Keys are written everywhere, then n3 is cut off, half of them are deleted, and n3 comes back."""
    mending = Mending(seed, core=BRIEF, loss=loss)
    mending.start()
    mending.run(1)
    for i in range(20):
        assert isinstance(mending.ask("n1", Put(f"k{i}", b"v%d" % i, "all"), 10), Done)
    mending.cut_off("n3")
    mending.run(1)
    for i in range(10):
        assert isinstance(mending.ask("n2", Delete(f"k{i}", "quorum")), Done)
    mending.run(away_s)
    mending.heal()
    return mending


def resurrected(mending: Mending) -> list[str]:
    """Keys that were deleted and can be read from some node."""
    return [
        f"k{i}"
        for i in range(10)
        for node in mending.names
        if mending.ask(node, Get(f"k{i}", "one")) not in (Found(1, None), None)
    ]


@pytest.mark.parametrize(("seed", "loss"), [(1, 0.0), (2, 0.1)])
def test_a_replica_that_was_away_for_longer_than_the_grace_brings_nothing_back(
    seed: int, loss: float
) -> None:
    mending = deleted_while_one_is_cut_off(seed, 4 * GRACE_S, loss)
    kept = [f"k{i}" for i in range(10, 20)]
    assert len(mending.data("n1")) == 20, "tombstones wait for the one who is away"
    mending.until(lambda: all(sorted(mending.data(node)) == kept for node in mending.names), 60)
    mending.run(3 * GRACE_S)
    assert not resurrected(mending)
    assert mending.status("n1")["tombstones"]["held"] == 0
    assert all(sorted(mending.data(node)) == kept for node in mending.names)


def _forgets_after_its_grace(monkeypatch: pytest.MonkeyPatch) -> None:
    def agree(self: Tombstones, peers: tuple[str, ...], entries: Entries) -> Generator[Any, Any, int]:
        yield from ()
        return sum([self._forget(key, digest) for key, digest in entries])

    monkeypatch.setattr(Tombstones, "_agree", agree)
    monkeypatch.setattr(Tombstones, "_is_mine", lambda self, key: True)
    monkeypatch.setattr("store.core.repair.tombstones.others", lambda place, name, key: ())


def _asks_only_those_who_can_be_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    def others(place: Any, name: str, key: str) -> tuple[str, ...]:
        return tuple([node for node in ("n1", "n2") if node != name])

    def answer(self: Tombstones, peer: str, key: str, digest: int, forget: bool) -> bool:
        if forget:
            return self._forget(key, digest)
        return self._forest.digest(key) == digest and self._grace_over(key)

    monkeypatch.setattr("store.core.repair.tombstones.others", others)
    monkeypatch.setattr(Tombstones, "_is_mine", lambda self, key: True)
    monkeypatch.setattr(Tombstones, "_answer", answer)


@pytest.mark.parametrize("break_it", [_forgets_after_its_grace, _asks_only_those_who_can_be_reached])
def test_a_store_that_forgets_too_early_is_convicted(break_it: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    break_it(monkeypatch)
    mending = deleted_while_one_is_cut_off(1, 4 * GRACE_S)
    mending.run(10)
    assert resurrected(mending)


def test_a_replica_that_was_away_for_less_than_the_grace_brings_nothing_back() -> None:
    mending = deleted_while_one_is_cut_off(3, GRACE_S / 4)
    mending.run(5 * GRACE_S)
    assert not resurrected(mending)


def test_under_loss_and_crashes_all_are_forgotten_at_last_and_stay_forgotten() -> None:
    """However often the forgetting is interrupted, tombstones do not go round and round for ever."""
    mending = Mending(5, core=BRIEF, loss=0.1, twice=0.1)
    for node in mending.names:
        for i in range(100):
            mending.plant(node, f"v/k{i}", Cell((1, 0, "n1"), None))
            mending.plant(node, f"v/live{i}", Cell((1, 0, "n1"), b"x"))
    mending.start()
    rng = random.Random(5)
    for _ in range(8):
        mending.run(2 * GRACE_S * rng.random())
        victim = rng.choice(mending.names)
        mending.kill(victim)
        mending.run(0.3)
        mending.start(victim)
    alive = sorted([f"live{i}" for i in range(100)])
    mending.until(lambda: all(sorted(mending.data(node)) == alive for node in mending.names), 40 * GRACE_S)
    mending.run(5 * GRACE_S)
    assert all(sorted(mending.data(node)) == alive for node in mending.names)


def test_a_write_after_the_deletion_is_not_forgotten_with_it() -> None:
    mending = Mending(6, core=BRIEF)
    mending.start()
    mending.run(1)
    mending.ask("n1", Put("k", b"old", "all"))
    mending.ask("n1", Delete("k", "all"))
    mending.run(GRACE_S - 0.2)
    mending.ask("n2", Put("k", b"new", "all"))
    mending.run(5 * GRACE_S)
    assert mending.ask("n3", Get("k", "one")) == Found(1, b"new")


def test_what_has_expired_and_siblings_without_values_go_as_well() -> None:
    mending = Mending(7, core=BRIEF)
    for node in mending.names:
        mending.plant(node, "v/s", Siblings((1, 0, "n1"), (("n1", 3, ()),)))
        mending.plant(node, "v/t", Siblings((1, 0, "n1"), (("n1", 3, (b"x",)),)))
    mending.start()
    mending.run(1)
    assert isinstance(mending.ask("n1", Put("brief", b"v", "all", ttl_ms=3000)), Done)
    assert isinstance(mending.ask("n1", Put("long", b"v", "all", ttl_ms=600_000)), Done)
    mending.run(2)
    assert mending.ask("n2", Get("brief", "one")) == Found(1, b"v")
    mending.run(1.2)
    assert mending.ask("n2", Get("brief", "one")) == Found(1, None)
    assert "brief" in mending.data("n1")
    mending.run(3 * GRACE_S)
    assert all(sorted(mending.data(node)) == ["long", "t"] for node in mending.names)


def test_one_who_is_not_the_first_replica_cannot_make_others_forget() -> None:
    """Nor can anybody before the grace is over."""

    class Pushy(Node):
        def send(self, peer: str, message: Any) -> None:
            if isinstance(message, Settled):
                message = Settled(message.rid, tuple([True for _ in message.held]))
            if isinstance(message, Settle):
                message = replace(message, forget=True)
            super().send(peer, message)

    mending = Mending(8, core=replace(BRIEF, tombstone_grace_nanos=30 * SECOND), make=Pushy)
    for node in mending.names:
        mending.plant(node, "v/k", Cell((1, 0, "n1"), None))
    mending.start()
    mending.run(10)
    assert all("k" in mending.data(node) for node in mending.names)


def test_where_nothing_is_compared_nothing_is_forgotten() -> None:
    core = replace(BRIEF, compare_nanos=0, tombstone_grace_nanos=100 * MS, hint_life_nanos=50 * MS)
    mending = Mending(9, core=core)
    for node in mending.names:
        mending.plant(node, "v/k", Cell((1, 0, "n1"), None))
    mending.start()
    mending.run(10)
    assert all("k" in mending.data(node) for node in mending.names)


def test_a_key_that_is_written_again_and_again_with_a_time_to_live_is_remembered_once() -> None:
    """Sessions that are renewed with every request must not add up for as long as the grace."""
    mending = Mending(10, core=replace(BRIEF, tombstone_grace_nanos=3600 * SECOND))
    mending.start()
    mending.run(1)
    for _ in range(50):
        assert isinstance(mending.ask("n1", Put("session", b"v", "all", ttl_ms=60_000)), Done)
    tombstones = mending.cluster._hosts["n1"].process._machine._tombstones  # type: ignore[union-attr]
    assert len(tombstones._since) == len(tombstones._young) == 1
    assert not tombstones._ripe


def test_many_tombstones_are_forgotten_as_fast_as_the_others_answer() -> None:
    """Not a page in each period, or a store in which much is deleted would keep more and more."""
    count = 4_000
    mending = Mending(11, core=replace(BRIEF, compare_nanos=SECOND))
    for node in mending.names:
        for i in range(count):
            mending.plant(node, f"v/k{i}", Cell((1, 0, "n1"), None))
    mending.start()
    mending.run(GRACE_S + 2)
    assert not any(mending.data(node) for node in mending.names)
