"""The hash trees of what this node keeps, kept up to date: made from the disk when they are first wanted, a
slice at a time, changed with every change, and made anew from memory when the layout is another."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from store.core.machine import DamagedRecord
from store.core.messages import Datum
from store.core.ownership.layout import Placement
from store.core.port import Port
from store.core.repair.merkle import Forest, digest_of
from store.core.replica import DATUM, Replica

SLICE_RECORDS: Final = 128
SLICE_KEYS: Final = 2_000
"""So much is read from the disk, or put into trees again, before others get their turn."""
PAUSE_NANOS: Final = 2_000_000


def others(place: Placement, name: str, key: str) -> tuple[str, ...]:
    """The other nodes that keep `key`, in both lists while it moves; none if `name` keeps it in neither."""
    return _others(place.replicas(key), name)


@lru_cache(maxsize=10_000)
def _others(lists: tuple[tuple[str, ...], ...], name: str) -> tuple[str, ...]:
    both = dict.fromkeys([node for nodes in lists for node in nodes])
    return tuple([node for node in both if node != name]) if name in both else ()


class Inventory:
    """`watchers` are told of every key's datum, first of those on the disk, then of each that changes (None:
    it is gone); `damaged` of storage keys that cannot be read."""

    def __init__(self, port: Port, replica: Replica, damaged: Callable[[str], None]) -> None:
        self.forest = Forest()
        self.watchers: list[Callable[[str, Datum | None], None]] = []
        self._port = port
        self._replica = replica
        self._damaged = damaged
        self._wanted = False
        self._read = False
        self._epoch = 0
        self._growing = False

    def want(self) -> None:
        """Begin to make the trees, unless that was done."""
        if not self._wanted:
            self._wanted = True
            self._replica.watchers.append(self._changed)
            self._read_on("")

    def ready(self) -> bool:
        """Whether the trees tell everything that this node shares with others by the present layout."""
        self.want()
        self._follow_layout()
        return self._read and self._epoch > 0 and self.forest.whole

    def _read_on(self, after: str) -> None:
        page = self._port.journal.scan(DATUM, after, SLICE_RECORDS)
        for storage_key in page:
            key = storage_key[len(DATUM) :]
            try:
                self._changed(key, None, self._replica.datum(key))
            except DamagedRecord:
                self._damaged(storage_key)
        if len(page) == SLICE_RECORDS:
            self._port.after(PAUSE_NANOS, lambda: self._read_on(page[-1]))
        else:
            self._read = True

    def _changed(self, key: str, before: Datum | None, datum: Datum | None) -> None:
        place = self._port.placement
        if place is not None and place.epoch != self._epoch:
            self._follow_layout()
        self.forest.put(key, None if datum is None else digest_of(key, datum))
        for watcher in self.watchers:
            watcher(key, datum)

    def _follow_layout(self) -> None:
        place = self._port.placement
        if place is None or place.epoch == self._epoch:
            return
        self._epoch = place.epoch
        name = self._port.name
        self.forest.share(lambda key: others(place, name, key))
        if not self._growing:
            self._growing = True
            self._grow()

    def _grow(self) -> None:
        self.forest.grow(SLICE_KEYS)
        self._growing = not self.forest.whole
        if self._growing:
            self._port.after(PAUSE_NANOS, self._grow)
