"""Rot, want of room, slowness and loss, and that they leave alone what they do not concern."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.sim.disk import Disk, DiskOptions
from harness.sim.world import US, World
from store.core.machine import DamagedRecord, Persist
from store.core.messages import Cell

COMMIT_US = 500
KEYS = st.sampled_from(["v/", "v/a", "v/ab", "v/b", "v/\uffff", "v/\U00010000", "p/a", "p/b", "h/n1/a", ""])


class Owner:
    """A process that persists, commits when it can, and notes what it is told."""

    def __init__(self) -> None:
        self.world = World(1)
        self.disk = Disk(self.world, "n1", DiskOptions(COMMIT_US, COMMIT_US))
        self.told: list[object] = []
        self.token = 0

    def write(self, key: str, kept: bool = True) -> None:
        self.token += 1
        self.disk.persist(Persist(self.token, key, Cell((self.token, 0, "n1"), b"") if kept else None))
        self.commit()

    def commit(self) -> None:
        self.disk.commit(self.durable, self.room)

    def durable(self, token: int) -> None:
        self.told.append(token)
        self.commit()

    def room(self, full: bool) -> None:
        self.told.append("full" if full else "room")
        self.commit()

    def run(self, micros: int = 10_000) -> list[object]:
        self.world.run_until(self.world.now + micros * US)
        return self.told

    def readable(self, key: str) -> bool:
        try:
            return self.disk.get(key) is not None
        except DamagedRecord as damage:
            return damage.key != key


@given(
    st.lists(st.tuples(KEYS, st.booleans()), max_size=25),
    st.lists(st.tuples(KEYS, KEYS, st.integers(0, 9)), max_size=9),
)
def test_a_scan_gives_what_sorting_all_keys_by_their_bytes_gives(
    written: list[tuple[str, bool]], scans: list[tuple[str, str, int]]
) -> None:
    owner, model = Owner(), set[str]()
    for key, kept in written:
        owner.write(key, kept)
        (model.add if kept else model.discard)(key)
    owner.run(60_000)
    ordered = sorted(model, key=str.encode)
    for prefix, after, limit in scans:
        naive = [key for key in ordered if key.startswith(prefix) and key.encode() > after.encode()]
        assert owner.disk.scan(prefix, after, limit) == naive[:limit]


def test_a_rotten_record_is_listed_and_cannot_be_read_until_it_is_written_anew() -> None:
    owner = Owner()
    for key in ("v/a", "v/b"):
        owner.write(key)
    owner.run()
    assert owner.disk.rot(["v/a", "v/missing"]) == ["v/a"]
    assert owner.disk.rot(["v/a"]) == []
    assert owner.disk.scan("v/", "", 9) == ["v/a", "v/b"]
    assert owner.disk.readable() == ["v/b"]
    assert [owner.readable(key) for key in ("v/a", "v/b")] == [False, True]
    owner.disk.crash()
    assert not owner.readable("v/a")
    owner.write("v/a")
    owner.run()
    assert owner.readable("v/a")


def test_a_rotten_record_can_be_removed() -> None:
    owner = Owner()
    owner.write("v/a")
    owner.run()
    owner.disk.rot(["v/a"])
    owner.write("v/a", kept=False)
    owner.run()
    assert owner.disk.get("v/a") is None
    assert owner.disk.scan("", "", 9) == []


def test_a_full_disk_says_so_once_keeps_what_waits_and_goes_on_when_there_is_room() -> None:
    owner = Owner()
    owner.write("v/a")
    owner.run()
    owner.disk.fill(True)
    assert owner.run() == [1]
    owner.write("v/b")
    owner.write("v/c")
    assert owner.run() == [1, "full"]
    assert owner.disk.readable() == ["v/a"]
    owner.disk.fill(False)
    assert owner.run() == [1, "full", "room", 3]
    assert owner.disk.readable() == ["v/a", "v/b", "v/c"]


def test_a_commit_that_meets_the_full_disk_is_made_again_before_what_came_later() -> None:
    owner = Owner()
    owner.write("v/a")
    owner.disk.fill(True)
    assert owner.run() == ["full"]
    owner.write("v/a", kept=False)
    owner.disk.fill(False)
    assert owner.run() == ["full", "room", 2]
    assert owner.disk.get("v/a") is None


def test_a_crash_on_a_full_disk_loses_what_waits_and_the_next_process_is_told_anew() -> None:
    owner = Owner()
    owner.disk.fill(True)
    owner.write("v/a")
    assert owner.disk.crash() == 1
    owner.write("v/b")
    assert owner.run() == ["full", "full"]
    owner.disk.fill(False)
    assert owner.run() == ["full", "full", "room", 2]
    assert owner.disk.readable() == ["v/b"]


def test_a_slow_disk_takes_many_times_as_long() -> None:
    owner = Owner()
    owner.disk.slow(20)
    owner.write("v/a")
    assert owner.run(20 * COMMIT_US - 1) == []
    assert owner.run(1) == [1]
    owner.disk.slow(1)
    owner.write("v/a")
    assert owner.run(COMMIT_US) == [1, 2]


@pytest.mark.parametrize("factor", [0, -1.0])
def test_a_disk_cannot_be_slower_by_nothing(factor: float) -> None:
    with pytest.raises(ValueError, match=f"a factor greater than 0, not {factor}"):
        Owner().disk.slow(factor)


def test_a_wiped_disk_holds_nothing_not_even_the_number_of_its_boots() -> None:
    owner = Owner()
    owner.disk.boot = 7
    owner.write("v/a")
    owner.run()
    assert owner.disk.wipe() == 1
    assert (owner.disk.boot, owner.disk.get("v/a"), owner.disk.scan("", "", 9)) == (0, None, [])
