"""A simulated machine: a disk and a wall clock that last, and a process that comes and goes."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from harness.cluster.base import NodeState
from harness.sim.clock import WallClock
from harness.sim.disk import Disk, DiskOptions
from harness.sim.network import Network
from harness.sim.process import Machine, Process
from harness.sim.world import SECOND, US, World
from store.core.machine import FromPeer, Records
from store.core.ring import Ring

MakeMachine = Callable[[str, Ring, int, Records, random.Random], Machine]
"""`store.core.node.Node`, or something that stands in for it: (name, ring, boot, records, rng)."""


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
    """`process` is None while it is down."""

    def __init__(
        self, world: World, name: str, ring: Ring, make: MakeMachine, options: HostOptions, disk: DiskOptions
    ) -> None:
        self.name = name
        self.clock = WallClock()
        self.disk = Disk(world, name, disk)
        self.process: Process | None = None
        self._world = world
        self._ring = ring
        self._make = make
        self._service_ns = options.service_us * US
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
        """Start the process from what is on the disk."""
        self.disk.boot += 1
        boot = self.disk.boot
        rng = self._world.random(f"node {self.name} boot {boot}")
        machine = self._make(self.name, self._ring, boot, self.disk, rng)
        self.process = Process(
            self._world, self.name, machine, network, self.disk, self.clock, self._service_ns
        )
        self.log(f"start, boot {boot}")

    def kill(self) -> tuple[int, int]:
        """End the process with no warning: how many requests are broken, how many records are lost."""
        assert self.process is not None, f"{self.name} is down already"
        broken = self.process.kill()
        self.process = None
        lost = self.disk.crash()
        self.log(f"killed; requests broken: {broken}; records lost: {lost}")
        return broken, lost

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
