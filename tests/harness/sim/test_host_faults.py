"""What a machine's faults do to the process on it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from harness.sim.disk import DiskOptions
from harness.sim.host import Host, HostOptions
from harness.sim.network import Network, NetworkOptions
from harness.sim.world import MS, SECOND, World
from store.core.machine import DiskFull, Effect, FromPeer, Input, Persist, Persisted, Records, Started
from store.core.messages import Cell, Stored
from store.core.options import QUIET, Options
from store.core.ownership.layout import first_layout

NOTE = "m/birth"


class Machine:
    """Writes a record at its start and for each message; on a message 9 it reads the first again."""

    def __init__(
        self, heard: list[Input], boot: int, records: Records, rng: random.Random, options: Options
    ) -> None:
        self.heard = heard
        self.options = options
        self.birth = rng.random()
        self._boot = boot
        self._records = records
        self._issued = 0
        records.get(NOTE)

    def step(self, event: Input, now: int, wall: int) -> list[Effect]:
        self.heard.append(event)
        if isinstance(event, Started):
            return [self._persist(NOTE)]
        if isinstance(event, FromPeer):
            assert isinstance(event.message, Stored)
            if event.message.rid == 9:
                self._records.get(NOTE)
            return [self._persist(f"v/{self._boot}/{self._issued}")]
        return []

    def _persist(self, key: str) -> Persist:
        self._issued += 1
        return Persist(self._issued, key, Cell((self._issued, 0, "a"), b""))


class Lab:
    """One machine, started."""

    def __init__(self) -> None:
        self.world = World(1)
        self.heard: list[Input] = []
        self.machines: list[Machine] = []
        self.host = Host(
            self.world,
            "a",
            first_layout(("a", "b"), 1),
            self._make,
            HostOptions(service_us=0, start_ms=0),
            DiskOptions(),
            QUIET,
        )
        self.network = Network(self.world, NetworkOptions(), {"a": self.host.receive})
        self.host.start(self.network)
        self.run()

    def _make(
        self, name: str, first: object, boot: int, records: Records, rng: random.Random, options: Options
    ) -> Any:
        machine = Machine(self.heard, boot, records, rng, options)
        self.machines.append(machine)
        return machine

    def run(self) -> list[Input]:
        """What the machine has been given in the meantime."""
        self.world.run_until(self.world.now + 100 * MS)
        heard, self.heard[:] = list(self.heard), []
        return heard

    def say(self, rid: int) -> None:
        self.host.receive(FromPeer("b", Stored(rid)))


def test_a_node_is_told_its_address_and_those_of_the_first_others() -> None:
    options = Lab().machines[0].options
    assert (options.address, dict(options.peers)) == ("a", {"b": "b"})


def test_a_full_disk_is_told_at_the_next_write_and_ends_with_the_write_done() -> None:
    lab = Lab()
    lab.host.fill(True)
    assert lab.run() == []
    lab.say(1)
    assert lab.run() == [FromPeer("b", Stored(1)), DiskFull(True)]
    lab.host.fill(False)
    assert lab.run() == [DiskFull(False), Persisted(2)]


def test_a_process_that_is_paused_learns_of_room_when_it_goes_on() -> None:
    lab = Lab()
    lab.host.fill(True)
    lab.say(1)
    lab.run()
    lab.host.pause()
    lab.host.fill(False)
    assert lab.run() == []
    lab.host.resume()
    assert lab.run() == [DiskFull(False), Persisted(2)]


def test_damage_of_a_record_that_it_cannot_do_without_ends_a_process_and_its_next_life_is_another() -> None:
    lab = Lab()
    assert lab.host.rot([NOTE]) == [NOTE]
    lab.say(9)
    lab.run()
    assert (lab.host.state(), lab.host.damage) == ("down", f"the record under {NOTE!r} is damaged")
    lab.host.start(lab.network)
    assert lab.run() == [Started(), Persisted(1)]
    assert lab.host.damage is None
    assert lab.host.disk.readable() == [NOTE]
    first, second = lab.machines
    assert first.birth != second.birth


def test_damage_that_a_process_meets_at_its_start_is_moved_aside_at_once() -> None:
    lab = Lab()
    lab.host.kill()
    lab.host.rot([NOTE])
    lab.host.start(lab.network)
    assert lab.run() == [Started(), Persisted(1)]
    assert lab.host.state() == "up"


def test_a_share_of_the_users_records_rots_at_least_one_and_no_notes() -> None:
    lab = Lab()
    assert lab.host.rot(1.0) == []
    for _ in range(10):
        lab.say(1)
    lab.run()
    assert len(lab.host.rot(0.01)) == 1
    assert len(lab.host.rot(0.5)) == 5
    assert len(lab.host.rot(1)) == 4
    assert lab.host.disk.readable() == [NOTE]
    with pytest.raises(ValueError, match=r"must be 0 to 1, not 1\.5"):
        lab.host.rot(1.5)


def test_a_wiped_machine_begins_a_life_of_its_own() -> None:
    lab = Lab()
    lab.host.kill()
    assert lab.host.wipe() == 1
    lab.host.start(lab.network)
    lab.run()
    assert lab.host.disk.boot == 1
    assert lab.machines[0].birth != lab.machines[1].birth


def test_a_drifting_clock_gains_until_it_is_reset() -> None:
    lab = Lab()
    lab.host.drift(500)
    began = lab.world.now
    lab.world.run_until(began + 10 * SECOND)
    assert lab.host.clock.offset_ms(lab.world.now) == 5
    lab.host.reset_clock()
    lab.world.run_until(began + 20 * SECOND)
    assert lab.host.clock.offset_ms(lab.world.now) == 0
