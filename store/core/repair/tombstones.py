"""What was deleted, until it can be forgotten.

A tombstone may go when no older value can come back, and a value can come from any replica that has not heard
of the deletion. So the first replica in the key's preference list, once it has kept the tombstone for its
grace, asks *all* others whether they hold exactly it, on their disks, and for their grace as well. Only when
all have said yes do all forget. docs/protocols/repair.md argues why nothing resurrects, and why this ends.

Tombstones are deleted cells, cells whose time has run out, siblings without values, and maps of which every
field is removed. An empty set and a counter at zero must remember what they have seen, and stay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice, takewhile
from typing import Any, Final

from store.core.data.datum import dead_since_ms
from store.core.machine import DamagedRecord
from store.core.messages import Cell, Datum, Settle, Settled
from store.core.options import Options
from store.core.ownership.layout import Placement
from store.core.port import Port
from store.core.procedure import Answers, Ask, Group, Procedure
from store.core.repair.inventory import Inventory, others
from store.core.repair.pace import durable
from store.core.replica import Replica

SETTLE_NANOS: Final = 5_000_000_000
"""How long the others have to answer."""
SETTLE_KEYS: Final = 200
SWEEP_KEYS: Final = 1_000
"""So many tombstones are looked at in one sweep."""
PAUSE_NANOS: Final = 10_000_000
"""Between two sweeps of which the first has not been in vain."""
MS: Final = 1_000_000

Entries = Sequence[tuple[str, int]]
"""Keys, each with its tombstone's digest."""


class Tombstones:
    """`questions` takes what others ask. Memory: an entry for each tombstone and for each cell whose time
    will run out."""

    def __init__(self, port: Port, options: Options, replica: Replica, inventory: Inventory) -> None:
        self.handlers: dict[type, Callable[[str, Any], None]] = {}
        self.questions: dict[type, Callable[[str, Any], None]] = {Settle: self._settle}
        self.forgotten = 0
        self._port = port
        self._grace = options.tombstone_grace_nanos
        self._period = min(options.compare_nanos, max(1, self._grace // 2))
        self._replica = replica
        self._forest = inventory.forest
        self._inventory = inventory
        self._since: dict[str, int] = {}
        self._young: dict[str, None] = {}
        """In the order in which they came to be what they are."""
        self._ripe: dict[str, None] = {}
        self._settling = 0
        inventory.watchers.append(self._saw)

    def start(self) -> None:
        """Nothing is forgotten where nothing is compared."""
        if self._period:
            self._port.after(self._period, self._sweep)

    def status(self) -> dict[str, Any]:
        return {"tombstones": {"held": len(self._since), "forgotten": self.forgotten}}

    def _saw(self, key: str, datum: Datum | None) -> None:
        """`datum` is what is kept of `key` now."""
        if self._since.pop(key, None) is not None:
            self._young.pop(key, None)
            self._ripe.pop(key, None)
        if _mortal(datum):
            self._since[key] = self._port.now
            self._young[key] = None

    def _sweep(self) -> None:
        self._port.after(self._period, self._sweep)
        self._settle_some()

    def _settle_some(self) -> None:
        """Try to settle tombstones whose grace is over, as far as they are this node's to settle."""
        self._ripen()
        if self._settling or not self._inventory.ready():
            return
        by_others: dict[tuple[str, ...], list[tuple[str, int]]] = {}
        for key in list(islice(self._ripe, SWEEP_KEYS)):
            del self._ripe[key]
            self._ripe[key] = None  # at the end
            if self._is_mine(key) and self._grace_over(key):
                digest = self._forest.digest(key)
                assert digest is not None
                peers = others(self._placement(), self._port.name, key)
                by_others.setdefault(peers, []).append((key, digest))
        for peers, entries in by_others.items():
            for start in range(0, len(entries), SETTLE_KEYS):
                if all(map(self._port.alive, peers)):
                    self._begin(peers, entries[start : start + SETTLE_KEYS])

    def _ripen(self) -> None:
        last = self._port.now - self._grace
        for key in list(takewhile(lambda key: self._since[key] <= last, self._young)):
            del self._young[key]
            self._ripe[key] = None

    def _is_mine(self, key: str) -> bool:
        place = self._port.placement
        return place is not None and place.replicas(key)[0][0] == self._port.name

    def _grace_over(self, key: str) -> bool:
        """Whether it has been a tombstone for its grace, as far as this node knows."""
        since = self._since.get(key)
        if since is None or self._port.now - since < self._grace:
            return False
        try:
            datum = self._replica.datum(key)
        except DamagedRecord:
            return False
        wall_ms = self._port.wall // MS
        dead_ms = None if datum is None else dead_since_ms(datum, wall_ms)
        return dead_ms is not None and wall_ms - dead_ms >= self._grace // MS

    # The first replica's part ------------------------------------------------------------------------

    def _begin(self, peers: tuple[str, ...], entries: Entries) -> None:
        self._settling += 1
        self._port.run(self._agree(peers, entries), SETTLE_NANOS, self._ended)

    def _ended(self, count: int) -> None:
        self._settling -= 1
        self.forgotten += count
        if count and not self._settling:
            self._port.after(PAUSE_NANOS, self._settle_some)

    def _agree(self, peers: tuple[str, ...], entries: Entries) -> Procedure[int]:
        """Ask all whether they hold them, then tell all to forget them; how many are forgotten."""
        place = self._placement()
        if not (yield from durable(self._port, self._port.now + SETTLE_NANOS)):
            return 0
        if peers:
            entries = yield from self._held_by_all(peers, entries, place.epoch)
            if not entries or place is not self._port.placement:
                return 0
            question = Settle(self._port.next_rid(), place.epoch, tuple(entries), True)
            if len(_settled((yield Ask((Group(peers, len(peers)),), question)), entries)) < len(peers):
                return 0
        return sum([self._forget(key, digest) for key, digest in entries])

    def _held_by_all(self, peers: tuple[str, ...], entries: Entries, epoch: int) -> Procedure[Entries]:
        question = Settle(self._port.next_rid(), epoch, tuple(entries), False)
        answers = _settled((yield Ask((Group(peers, len(peers)),), question)), entries)
        if len(answers) < len(peers):
            return ()
        return [entry for i, entry in enumerate(entries) if all(answer.held[i] for answer in answers)]

    def _forget(self, key: str, digest: int) -> bool:
        """Forget the tombstone, if that is still what is kept."""
        if key not in self._since or self._forest.digest(key) != digest or not self._grace_over(key):
            return False
        self._replica.drop(key)
        return True

    # The others' part --------------------------------------------------------------------------------

    def _settle(self, peer: str, question: Settle) -> None:
        """What is said is said once it is durable. Only the first replica of a key may ask."""
        held = [self._answer(peer, key, digest, question.forget) for key, digest in question.entries]
        answer = Settled(question.rid, tuple(held))
        self._port.journal.then(lambda: self._port.send(peer, answer))

    def _answer(self, peer: str, key: str, digest: int, forget: bool) -> bool:
        if not self._inventory.ready() or self._placement().replicas(key)[0][0] != peer:
            return False
        if forget:
            return self._forget(key, digest)
        return self._forest.digest(key) == digest and self._grace_over(key)

    def _placement(self) -> Placement:
        place = self._port.placement
        assert place is not None
        return place


def _mortal(datum: Datum | None) -> bool:
    """Whether it is a tombstone, or will become one by itself."""
    if isinstance(datum, Cell):
        return datum.value is None or datum.expires_ms > 0
    return datum is not None and dead_since_ms(datum, 0) is not None


def _settled(answers: Answers, entries: Entries) -> list[Settled]:
    return [
        answer for _, answer in answers if isinstance(answer, Settled) and len(answer.held) == len(entries)
    ]
