"""A simulated machine: a disk and a wall clock that last, and a process that comes and goes."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from harness.cluster.base import NodeState
from harness.sim.clock import WallClock
from harness.sim.disk import Disk, DiskOptions
from harness.sim.network import Network
from harness.sim.process import Machine, Process
from harness.sim.world import SECOND, US, World
from store.core.machine import DamagedRecord, FromPeer, Records, Started
from store.core.messages import Layout
from store.core.options import Options

MakeMachine = Callable[[str, Layout | None, int, Records, random.Random, Options], Machine]
"""`store.core.node.Node`, or something that stands in for it: (name, first layout, boot, records,
rng, options)."""


@dataclass(frozen=True, slots=True)
class HostOptions:
    """`service_us`: how long an input keeps a process busy. `start_ms`: from the start of a process until it
    serves."""

    service_us: int = 20
    start_ms: int = 200

    def __post_init__(self) -> None:
        for name in ("service_us", "start_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


class Host:
    """`process` is None while it is down. `core` is completed by the addresses: a node's is its name.
    `damage` says why the process has ended by itself, if it has, until it is started again."""

    def __init__(
        self,
        world: World,
        name: str,
        first: Layout | None,
        make: MakeMachine,
        options: HostOptions,
        disk: DiskOptions,
        core: Options,
    ) -> None:
        self.name = name
        self.clock = WallClock()
        self.disk = Disk(world, name, disk)
        self.process: Process | None = None
        self.damage: str | None = None
        self._world = world
        self._first = first
        self._core = _addressed(core, name, first)
        self._make = make
        self._service_ns = options.service_us * US
        self._faults = world.random(f"faults of disk {name}")
        self._lives = 1
        self._log: list[str] = []

    def receive(self, event: FromPeer) -> None:
        """A message from another node arrives; nobody is there to take it while the process is down."""
        if self.process is not None:
            self.process.feed(event)

    def state(self) -> NodeState:
        if self.process is None:
            return "down"
        return "paused" if self.process.paused else "up"

    def start(self, network: Network) -> None:
        """Start the process from what is on the disk. Damage that the last process met, or that this one
        meets at its beginning, is moved aside, so that the node begins a new life."""
        if self.damage is not None:
            self._quarantine()
        try:
            machine = self._boot()
        except DamagedRecord as damage:
            self.damage = str(damage)
            self._quarantine()
            machine = self._boot()
        self.process = Process(
            self._world,
            self.name,
            machine,
            network,
            self.disk,
            self.clock,
            self._service_ns,
            self.log,
            self._condemn,
        )
        self.process.feed(Started())
        self.log(f"start, boot {self.disk.boot}")

    def _boot(self) -> Machine:
        self.disk.boot += 1
        life = "" if self._lives == 1 else f" life {self._lives}"
        rng = self._world.random(f"node {self.name}{life} boot {self.disk.boot}")
        return self._make(self.name, self._first, self.disk.boot, self.disk, rng, self._core)

    def _condemn(self, damage: DamagedRecord) -> None:
        """The process ends by itself, as the node cannot do without what is damaged."""
        self.kill()
        self.damage = str(damage)
        self.log(f"ended by itself: {damage}")

    def _quarantine(self) -> None:
        self.log(f"begins a new life, as {self.damage}; records left behind: {self.disk.wipe()}")
        self._lives += 1
        self.damage = None

    def kill(self) -> tuple[int, int]:
        """End the process with no warning: how many requests are broken, how many records are lost."""
        assert self.process is not None, f"{self.name} is down already"
        broken = self.process.kill()
        self.process = None
        lost = self.disk.crash()
        self.log(f"killed; requests broken: {broken}; records lost: {lost}")
        return broken, lost

    def terminate(self) -> int:
        """Let the process end in good order (SIGTERM): how many requests are broken."""
        assert self.process is not None, f"{self.name} is down already"
        broken = self.process.kill()
        self.process = None
        self.disk.close()
        self.log(f"ended as it was asked to; requests broken: {broken}")
        return broken

    def pause(self) -> bool:
        """Freeze the process; false if there is none that runs."""
        if self.process is None or self.process.paused:
            return False
        self.process.pause()
        self.log("paused")
        return True

    def resume(self) -> int:
        """Let the paused process go on; how many inputs have been held back."""
        assert self.process is not None, f"{self.name} is down"
        held = self.process.resume()
        self.log(f"resumed; inputs held back: {held}")
        return held

    def bump(self, offset_ms: int) -> None:
        self.clock.bump(offset_ms)
        self.log(f"clock bumped by {offset_ms:+d} ms")

    def reset_clock(self) -> None:
        self.clock.reset()
        self.log("clock reset")

    def drift(self, ppm: int) -> None:
        self.clock.drift(ppm, self._world.now)
        self.log(f"clock drifts by {ppm:+d} ppm")

    def strobe(self, delta_ms: int, period_ms: int) -> None:
        self.clock.strobe(delta_ms, period_ms, self._world.now)
        self.log(f"clock jumps by {delta_ms:+d} ms and back, every {period_ms} ms")

    # Its disk ----------------------------------------------------------------------------------------

    def rot(self, which: float | Iterable[str]) -> list[str]:
        """Damage the records under the given storage keys, or a drawn share (0 to 1) of those of users' keys,
        at least one if there is any; the storage keys that it hit. Whoever calls sees to it that enough
        replicas stay sound."""
        if isinstance(which, float | int):
            if not 0 <= which <= 1:
                raise ValueError(f"the share of records to damage must be 0 to 1, not {which}")
            candidates = [key for family in ("p/", "v/") for key in self.disk.readable(family)]
            which = self._faults.sample(candidates, math.ceil(which * len(candidates)))
        hit = self.disk.rot(which)
        self.log(f"disk: rotten records: {len(hit)}: {', '.join(map(repr, hit[:10]))}")
        return hit

    def fill(self, full: bool) -> None:
        """Leave no room on the disk, or make room again."""
        self.disk.fill(full)
        self.log("disk full" if full else "disk has room")

    def slow(self, factor: float) -> None:
        """Commits take `factor` times as long as usual; 1 ends that."""
        self.disk.slow(factor)
        self.log(f"disk slower by {factor:g}")

    def wipe(self) -> int:
        """Lose the whole data directory, while the process is down; how many records that were."""
        assert self.process is None, f"{self.name} is running"
        self._lives += 1
        self.damage = None
        lost = self.disk.wipe()
        self.log(f"disk wiped; records lost: {lost}")
        return lost

    # ---------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the process, if there is one, at the end of the run."""
        if self.process is not None:
            self.process.kill()
            self.process = None
            self.log("stop")

    def log(self, text: str) -> None:
        """Note what happens to this machine, with the virtual time."""
        self._log.append(f"{self._world.now / SECOND:14.9f} {text}\n")

    def write_log(self, path: Path) -> None:
        path.write_text("".join(self._log), encoding="utf-8")


def _addressed(core: Options, name: str, first: Layout | None) -> Options:
    if first is None:
        return replace(core, address=name)
    return replace(
        core, address=name, peers={owner.name: owner.name for owner in first.owners if owner.name != name}
    )
