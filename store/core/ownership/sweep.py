"""What a node keeps of keys that are not its own any more: given back to their owners, then dropped, slowly.

Registers are only dropped: their new owners have what was chosen. Data are given back first, because what was
written at a low level may have reached this node alone, and it may have been out of reach when the others
were pulled from. What is so old that a tombstone against it may be gone already is not given back, or it
would come to life again."""

from __future__ import annotations

from typing import Any, Final

from store.core.data.datum import stamps
from store.core.machine import DamagedRecord
from store.core.messages import RESERVED, Datum, Note, Store, Stored
from store.core.options import MS, SECOND, Options
from store.core.ownership.layout import Placement
from store.core.ownership.notes import noted
from store.core.port import Port
from store.core.procedure import All, Ask, Group, Procedure
from store.core.replica import ACCEPTOR, DATUM, Replica

SWEPT: Final = "m/swept"
"""Storage key: the epoch for which it is done."""
PAGE: Final = 64
FIRST_NANOS: Final = 2 * SECOND
"""How long after a layout has become stable it begins: others may be on their way to it still."""
ATTEMPT_NANOS: Final = 1_000 * MS
AGAIN_NANOS: Final = 2 * SECOND


class Sweep:
    def __init__(self, port: Port, options: Options, replica: Replica) -> None:
        self._port = port
        self._options = options
        self._replica = replica
        self._dropped = 0
        self._sweeping = False

    def layout_changed(self) -> None:
        place = self._port.placement
        assert place is not None
        self._sweeping, self._dropped = False, 0
        if place.joint or place.epoch == 1:
            return
        if noted(self._port.journal, SWEPT) != place.epoch:
            self._sweeping = True
            self._port.after(FIRST_NANOS, lambda: self._go_on(place, "", True))

    def status(self) -> dict[str, Any]:
        return {"sweep": {"dropped": self._dropped}} if self._sweeping else {}

    def _go_on(self, place: Placement, after: str, clean: bool) -> None:
        """A page of both families. `clean`: nothing that is not ours has been left behind so far."""
        if place is not self._port.placement:
            return
        acceptors, data = (
            [stored.removeprefix(family) for stored in self._port.journal.scan(family, family + after, PAGE)]
            for family in (ACCEPTOR, DATUM)
        )
        through = min([keys[-1] for keys in (acceptors, data) if len(keys) == PAGE], default=None)
        for key in self._foreign(place, acceptors, through):
            self._port.journal.put(ACCEPTOR + key, None)
            self._dropped += 1
        foreign = self._foreign(place, data, through)

        def given_back(dropped: list[bool]) -> None:
            self._dropped += sum(dropped)
            self._turn_page(place, through, clean and all(dropped), len(foreign))

        self._port.run(self._give_back(place, foreign), ATTEMPT_NANOS, given_back)

    def _turn_page(self, place: Placement, through: str | None, clean: bool, given: int) -> None:
        if through is not None:
            pause_nanos = given * SECOND // self._options.transfer_per_second
            self._port.after(pause_nanos, lambda: self._go_on(place, through, clean))
        elif not clean:
            self._port.after(AGAIN_NANOS, lambda: self._go_on(place, "", True))
        elif place is self._port.placement:
            self._finish(place)

    def _finish(self, place: Placement) -> None:
        self._sweeping = False
        self._port.journal.put(SWEPT, Note(place.epoch))
        if self._dropped:
            self._port.happened("swept", epoch=place.epoch, dropped=self._dropped)

    def _foreign(self, place: Placement, keys: list[str], through: str | None) -> list[str]:
        """Of `keys`, up to `through`, those that are not ours."""
        return [
            key
            for key in keys
            if (through is None or key <= through)
            and not key.startswith(RESERVED)
            and not self._is_ours(place, key)
        ]

    def _is_ours(self, place: Placement, key: str) -> bool:
        return (
            place.lives(self._port.name) == (self._port.birth,) and self._port.name in place.replicas(key)[0]
        )

    def _give_back(self, place: Placement, keys: list[str]) -> Procedure[list[bool]]:
        dropped: list[bool] = yield All(tuple([self._give(place, key) for key in keys]))
        return dropped

    def _give(self, place: Placement, key: str) -> Procedure[bool]:
        """Whether it is dropped."""
        try:
            datum = self._replica.datum(key)
            if datum is not None and not is_older(
                datum, self._options.tombstone_grace_nanos, self._port.wall
            ):
                (peers,) = place.replicas(key)
                group = Group(peers, len(peers) // 2 + 1)
                answers = yield Ask((group,), Store(self._port.next_rid(), place.epoch, key, datum))
                if sum([isinstance(answer, Stored) for _, answer in answers]) < group.need:
                    return False
            if place is not self._port.placement or self._replica.datum(key) != datum:
                return False
            self._replica.drop(key)
        except DamagedRecord:
            self._replica.restore(key, None)
        return True


def is_older(datum: Datum, nanos: int, wall: int) -> bool:
    """Whether part of `datum` was written longer ago than `nanos`, by its stamps. What has none (counters,
    sets) cannot be undone by something that is forgotten later, and is never too old."""
    return any(wall - stamp[0] * 1_000 > nanos for stamp in stamps(datum))
