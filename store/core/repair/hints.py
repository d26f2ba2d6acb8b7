"""Hinted handoff (Dynamo, section 4.6): writes kept for nodes that could not take them.

A hint is one storage record with all that is kept for one node and key, merged. It is delivered as a `Store`
like a coordinator's, and deleted when that is confirmed; if the node does not keep the key any more, to
those who do. Hints are only a help: one that is too old, or damaged, is dropped, and anti-entropy mends what
it would have. None outlives the tombstones' grace, so none brings back what was deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from store.core.data.datum import merge
from store.core.journal import bytes_of
from store.core.machine import DamagedRecord
from store.core.messages import Datum, Hint, Store, Stored
from store.core.options import Options
from store.core.port import Port
from store.core.procedure import All, Ask, Group, Procedure
from store.core.repair.pace import PAGE_BYTES, Pace, size_of
from store.core.replica import Replica

HINT: Final = "h/"
"""Storage keys: `h/TARGET/KEY`; no node's name has a slash."""

ROUND_NANOS: Final = 5_000_000_000
"""How often hints are looked through, whether they can be delivered or are too old."""
DELIVERY_NANOS: Final = 2_000_000_000
"""How long one batch may take; after that its target is left alone until the next round."""
BATCH_HINTS_MAX: Final = 64
PAGE_HINTS: Final = 500
PAUSE_NANOS: Final = 2_000_000
MS: Final = 1_000_000


class Kept(NamedTuple):
    """Since when a hint is kept: by its record (wall clock), and by this process (monotonic)."""

    wall_ms: int
    since: int
    bytes: int


class Hints:
    def __init__(self, port: Port, options: Options, replica: Replica) -> None:
        if options.hint_life_nanos >= options.tombstone_grace_nanos:
            raise ValueError(
                f"hint_life_nanos must be below tombstone_grace_nanos, {options.tombstone_grace_nanos}, got "
                f"{options.hint_life_nanos}: a hint that outlives a tombstone brings back what was deleted"
            )
        self.handlers: dict[type, Callable[[str, Any], None]] = {}
        self.delivered = self.expired = self.refused = self.damaged = 0
        self._port = port
        self._life = options.hint_life_nanos
        self._max = options.hints_max
        self._bytes_max = options.hints_bytes_max
        self._replica = replica
        self._pace = Pace(port, options.repair_bytes_per_second)
        self._kept: dict[str, dict[str, Kept]] = {}
        self._targets: dict[str, list[str]] = {}
        self._count = self._bytes = 0
        self._loaded = False
        self._delivering: dict[str, None] = {}
        self._in_round = False

    def start(self) -> None:
        self._load("")

    def keep(self, target: str, key: str, datum: Datum) -> bool:
        """Keep a write for `target`, merged with what is kept for it already; False if there is no room, or
        the disk takes nothing now."""
        held = self._read(target, key)
        merged = datum if held is None else merge(held.datum, datum)
        if held is not None and merged is held.datum:
            return True
        known = self._kept.get(target, {}).get(key)
        more = bytes_of(merged) - (0 if known is None else known.bytes)
        is_too_much = more > 0 and self._bytes + more > self._bytes_max
        if (known is None and self._count >= self._max) or is_too_much or self._replica.unable() is not None:
            self.refused += 1
            return False
        hint = Hint(target, merged, self._port.wall // MS if held is None else held.kept_ms)
        self._port.journal.put(self.storage_key(target, key), hint)
        self._remember(key, hint)
        return True

    def storage_key(self, target: str, key: str) -> str:
        """Under which a hint is kept, for `Journal.when_durable`."""
        return f"{HINT}{target}/{key}"

    def held(self, key: str) -> Datum | None:
        """What hints hold of `key`, whomever they are for: a stand-in answers reads with it."""
        if not self._count and self._loaded:
            return None
        targets = self._targets.get(key, [])
        if not self._loaded:
            place = self._port.placement
            targets = [*dict.fromkeys([*targets, *(() if place is None else place.names)])]
        found: Datum | None = None
        for target in targets:
            hint = self._read(target, key)
            if hint is not None:
                found = merge(found, hint.datum)
        return found

    def changed(self, node: str, state: str) -> None:
        """Gossip says so of `node`."""
        if state == "alive" and node in self._kept:
            self._deliver(node, 1)

    def drop(self, storage_key: str) -> None:
        """The record is damaged."""
        target, _, key = storage_key[len(HINT) :].partition("/")
        self.damaged += 1
        self._forget(target, key)

    def status(self) -> dict[str, Any]:
        return {
            "hints": {
                "held": {target: len(keys) for target, keys in self._kept.items()},
                "delivered": self.delivered,
                "expired": self.expired,
                "refused": self.refused,
                "damaged": self.damaged,
            }
        }

    # The index ---------------------------------------------------------------------------------------

    def _load(self, after: str) -> None:
        """Rebuild the index, page by page."""
        page = self._port.journal.scan(HINT, after, PAGE_HINTS)
        for storage_key in page:
            target, _, key = storage_key[len(HINT) :].partition("/")
            hint = self._read(target, key)
            if hint is not None:
                self._remember(key, hint)
        if len(page) == PAGE_HINTS:
            self._port.after(PAUSE_NANOS, lambda: self._load(page[-1]))
        else:
            self._loaded = True
            self._round_later()

    def _read(self, target: str, key: str) -> Hint | None:
        storage_key = self.storage_key(target, key)
        try:
            held = self._port.journal.get(storage_key)
        except DamagedRecord:
            self.drop(storage_key)
            return None
        return held if isinstance(held, Hint) else None

    def _remember(self, key: str, hint: Hint) -> None:
        of_target = self._kept.setdefault(hint.target, {})
        known = of_target.get(key)
        kept = Kept(hint.kept_ms, self._port.now, bytes_of(hint))
        self._bytes += kept.bytes
        if known is not None:
            of_target[key] = known._replace(bytes=kept.bytes)
            self._bytes -= known.bytes
            return
        of_target[key] = kept
        self._targets.setdefault(key, []).append(hint.target)
        self._count += 1
        self._round_later()

    def _forget(self, target: str, key: str) -> None:
        self._port.journal.put(self.storage_key(target, key), None)
        of_target = self._kept.get(target, {})
        known = of_target.pop(key, None)
        if known is None:
            return
        self._count -= 1
        self._bytes -= known.bytes
        if not of_target:
            del self._kept[target]
        self._targets[key].remove(target)
        if not self._targets[key]:
            del self._targets[key]

    # Delivery ----------------------------------------------------------------------------------------

    def _round_later(self) -> None:
        if self._count and self._loaded and not self._in_round:
            self._in_round = True
            self._port.after(ROUND_NANOS, self._round)

    def _round(self) -> None:
        self._in_round = False
        for target, keys in list(self._kept.items()):
            for key in [key for key, kept in keys.items() if self._too_old(kept)]:
                self.expired += 1
                self._forget(target, key)
        for target in list(self._kept):
            self._deliver(target, 1)
        self._round_later()

    def _too_old(self, kept: Kept) -> bool:
        """By either clock, as the wall clock may have been set back. A hint of the future shows that it was,
        and nobody knows how old that one is."""
        age_ms = self._port.wall // MS - kept.wall_ms
        return age_ms < 0 or max(age_ms * MS, self._port.now - kept.since) >= self._life

    def _deliver(self, target: str, count: int) -> None:
        """Deliver `count` of the target's hints, and twice as many next if all goes well."""
        if target in self._delivering or target not in self._kept:
            return
        sent = self._batch(target, count)
        if sent:
            self._delivering[target] = None
            self._port.run(
                self._hand_over(target, sent), DELIVERY_NANOS, lambda well: self._handed(target, count, well)
            )

    def _handed(self, target: str, count: int, well: bool) -> None:
        del self._delivering[target]
        if well:
            self._deliver(target, min(2 * count, BATCH_HINTS_MAX))

    def _batch(self, target: str, count: int) -> list[tuple[str, Datum]]:
        """Hints for `target` that can be delivered now, as many as are wanted and fit a page, the oldest
        first."""
        batch: list[tuple[str, Datum]] = []
        size = 0
        for key, kept in list(self._kept[target].items()):
            if len(batch) == count or size >= PAGE_BYTES:
                break
            if self._too_old(kept) or not all(map(self._port.alive, self._takers(target, key))):
                continue
            hint = self._read(target, key)
            if hint is not None:
                batch.append((key, hint.datum))
                size += size_of(hint)
        return batch

    def _takers(self, target: str, key: str) -> tuple[str, ...]:
        """Who is to get what is kept for `target`."""
        place = self._port.placement
        if place is None:
            return (target,)
        owners = tuple(dict.fromkeys([node for nodes in place.replicas(key) for node in nodes]))
        return (target,) if target in owners else owners

    def _hand_over(self, target: str, batch: list[tuple[str, Datum]]) -> Procedure[bool]:
        place = self._port.placement
        if place is None:
            return False
        stores = tuple(
            [self._store(self._takers(target, key), key, datum, place.epoch) for key, datum in batch]
        )
        confirmed = yield All(stores)
        for (key, datum), well in zip(batch, confirmed, strict=True):
            if well:
                self._delivered(target, key, datum)
            elif kept := self._kept.get(target, {}).pop(key, None):
                self._kept[target][key] = kept  # at the end, so that it does not hold up the others
        yield from self._pace.spend(size_of([datum for _, datum in batch]))
        return all(confirmed)

    def _store(self, takers: tuple[str, ...], key: str, datum: Datum, epoch: int) -> Procedure[bool]:
        question = Store(self._port.next_rid(), epoch, key, datum)
        answers = yield Ask((Group(takers, len(takers)),), question)
        return sum([isinstance(answer, Stored) for _, answer in answers]) == len(takers)

    def _delivered(self, target: str, key: str, datum: Datum) -> None:
        """Delete the hint, if it is still what was delivered."""
        self.delivered += 1
        hint = self._read(target, key)
        if hint is not None and hint.datum == datum:
            self._forget(target, key)
