"""A node's disk: group commit, and what a crash leaves of it.

One commit is under way at a time. It takes a drawn time and carries everything that was handed over before
it began; what comes meanwhile waits for the next. A crash loses what waits, and keeps a drawn prefix of the
commit under way (a torn batch: records are written in order, so nothing survives without all before it).

Leaves out bit rot, misdirected writes and full disks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.sim.world import US, World
from store.core.machine import Persist
from store.core.messages import Record


@dataclass(frozen=True, slots=True)
class DiskOptions:
    """A commit takes a uniformly drawn time within these limits."""

    commit_min_us: int = 300
    commit_max_us: int = 2000

    def __post_init__(self) -> None:
        if not 0 <= self.commit_min_us <= self.commit_max_us:
            raise ValueError(
                "commit_min_us and commit_max_us must be 0 or more microseconds, the first no more than the "
                f"second, got {self.commit_min_us} and {self.commit_max_us}"
            )


class Disk:
    """`boot` is the number of the process's current or last start, durable like the records."""

    def __init__(self, world: World, name: str, options: DiskOptions) -> None:
        self.boot = 0
        self._world = world
        self._rng = world.random(f"disk {name}")
        self._min_ns = options.commit_min_us * US
        self._span_ns = (options.commit_max_us - options.commit_min_us) * US
        self._durable: dict[str, Record] = {}
        self._waiting: list[Persist] = []
        self._committing: list[Persist] = []

    def get(self, key: str) -> Record | None:
        """The durable record."""
        return self._durable.get(key)

    def persist(self, effect: Persist) -> None:
        """Hand a record over; nothing happens to it before `commit`."""
        self._waiting.append(effect)

    def commit(self, on_durable: Callable[[int], None]) -> None:
        """Begin a commit of all that waits, unless one is under way or there is nothing. `on_durable` gets
        the last token when it is done, and must call `commit` again for what has come meanwhile."""
        if self._waiting and not self._committing:
            self._committing, self._waiting = self._waiting, []
            takes_ns = self._min_ns + int(self._rng.random() * self._span_ns)
            self._world.at(self._world.now + takes_ns, self._finish, self._committing, on_durable)

    def _finish(self, batch: list[Persist], on_durable: Callable[[int], None]) -> None:
        if batch is not self._committing:
            return  # a crash came first
        self._committing = []
        self._keep(batch)
        on_durable(batch[-1].token)

    def crash(self) -> int:
        """The power goes; how many records are lost."""
        survive = self._rng.randint(0, len(self._committing))
        lost = len(self._committing) - survive + len(self._waiting)
        self._keep(self._committing[:survive])
        self._committing, self._waiting = [], []
        return lost

    def _keep(self, effects: list[Persist]) -> None:
        for effect in effects:
            self._durable[effect.key] = effect.record
