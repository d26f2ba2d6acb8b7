"""A node's disk: group commit, what a crash leaves of it, and what else goes wrong with disks.

One commit is under way at a time. It takes a drawn time and carries everything that was handed over before
it began; what comes meanwhile waits for the next. A crash loses what waits, and keeps a drawn prefix of the
commit under way (a torn batch: records are written in order, so nothing survives without all before it).
A full disk commits nothing and drops nothing. A rotten record is still listed, and cannot be read until it is
written anew.

Leaves out that a rotten record may be taken for a sound one: the real storage has a checksum for that.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from harness.sim.world import US, World
from store.core.machine import DamagedRecord, Persist
from store.core.messages import Record

_ROTTEN: Final[Any] = object()
"""Stands in for a record that cannot be read."""


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


def _nobody(full: bool) -> None:
    pass


class Disk:
    """`boot` is the number of the process's current or last start, durable like the records."""

    def __init__(self, world: World, name: str, options: DiskOptions) -> None:
        self.boot = 0
        self.full = False
        self._world = world
        self._rng = world.random(f"disk {name}")
        self._min_ns = options.commit_min_us * US
        self._span_ns = (options.commit_max_us - options.commit_min_us) * US
        self._slowness = 1.0
        self._durable: dict[str, Record] = {}
        self._keys: list[str] = []  # sorted; the order of code points is that of UTF-8 bytes
        self._waiting: list[Persist] = []
        self._committing: list[Persist] = []
        self._refused: Callable[[bool], None] | None = None

    def get(self, key: str) -> Record | None:
        """The durable record; raises `DamagedRecord`."""
        found = self._durable.get(key)
        if found is _ROTTEN:
            raise DamagedRecord(key)
        return found

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        """As `Records.scan`."""
        keys = self._keys
        first = bisect_right(keys, after) if after >= prefix else bisect_left(keys, prefix)
        found = keys[first : first + limit]
        if found and not found[-1].startswith(prefix):
            del found[bisect_right(found, prefix, key=lambda key: key[: len(prefix)]) :]
        return found

    def persist(self, effect: Persist) -> None:
        """Hand a record over; nothing happens to it before `commit`."""
        self._waiting.append(effect)

    def commit(self, on_durable: Callable[[int], None], on_room: Callable[[bool], None] = _nobody) -> None:
        """Begin a commit of all that waits, unless one is under way or there is nothing. `on_durable` gets
        the last token when it is done, and must call `commit` again for what has come meanwhile. If the disk
        is full, `on_room(True)` says so once, and `on_room(False)` when `commit` can be called again."""
        if not self._waiting or self._committing:
            return
        if self.full:
            self._refuse(on_room)
            return
        self._committing, self._waiting = self._waiting, []
        takes_ns = int((self._min_ns + int(self._rng.random() * self._span_ns)) * self._slowness)
        self._world.at(self._world.now + takes_ns, self._finish, self._committing, on_durable, on_room)

    def _finish(
        self, batch: list[Persist], on_durable: Callable[[int], None], on_room: Callable[[bool], None]
    ) -> None:
        if batch is not self._committing:
            return  # a crash came first
        self._committing = []
        if self.full:
            self._waiting = batch + self._waiting
            self._refuse(on_room)
        else:
            self._keep(batch)
            on_durable(batch[-1].token)

    def _refuse(self, on_room: Callable[[bool], None]) -> None:
        if self._refused is None:
            self._refused = on_room
            on_room(True)

    def crash(self) -> int:
        """The power goes; how many records are lost."""
        survive = self._rng.randint(0, len(self._committing))
        lost = len(self._committing) - survive + len(self._waiting)
        self._keep(self._committing[:survive])
        self._committing, self._waiting = [], []
        self._refused = None
        return lost

    def close(self) -> None:
        """An orderly end: what was handed over is kept, if there is room."""
        if not self.full:
            self._keep(self._committing + self._waiting)
        self._committing, self._waiting = [], []
        self._refused = None

    # Faults ------------------------------------------------------------------------------------------

    def fill(self, full: bool) -> None:
        """Leave no room, or make room again."""
        self.full = full
        if not full and self._refused is not None:
            refused, self._refused = self._refused, None
            refused(False)

    def slow(self, factor: float) -> None:
        """From now on commits take `factor` times as long as drawn; 1 is as usual."""
        if factor <= 0:
            raise ValueError(f"a disk is slower by a factor greater than 0, not {factor}")
        self._slowness = factor

    def readable(self, prefix: str = "") -> list[str]:
        """The storage keys that begin with `prefix` and whose records can be read, in order."""
        found = self.scan(prefix, "", len(self._keys))
        return [key for key in found if self._durable[key] is not _ROTTEN]

    @property
    def rotten(self) -> list[str]:
        """The storage keys whose records are damaged, in order."""
        return [key for key in self._keys if self._durable[key] is _ROTTEN]

    def rot(self, keys: Iterable[str]) -> list[str]:
        """Damage the records under those of `keys` that hold a sound one; which they are."""
        rotten = [key for key in keys if self._durable.get(key, _ROTTEN) is not _ROTTEN]
        self._durable.update(dict.fromkeys(rotten, _ROTTEN))
        return rotten

    @property
    def slowness(self) -> float:
        return self._slowness

    def wipe(self) -> int:
        """Lose everything, the boot number too; how many records that were."""
        lost = len(self._durable)
        self.boot = 0
        self._durable.clear()
        self._keys.clear()
        return lost

    # ---------------------------------------------------------------------------------------------------

    def _keep(self, effects: list[Persist]) -> None:
        durable, keys = self._durable, self._keys
        for effect in effects:
            key = effect.key
            if effect.record is not None:
                if key not in durable:
                    insort(keys, key)
                durable[key] = effect.record
            elif durable.pop(key, None) is not None:
                del keys[bisect_left(keys, key)]
