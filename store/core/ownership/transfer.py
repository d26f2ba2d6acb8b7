"""New owners get what they will own, while the old ones go on serving it.

While the layout is joint, a node that has something to pull goes from old owner to old owner, page by page.
Data it merges; of registers it takes only the keys, and has each one's state chosen anew by a quorum of the
old and of the new owners, because a copied acceptor would have forgotten what it promised. It is done when,
of each preference list that it pulls from, a majority has been gone through to the end, and the others have
been tried.

Why that is enough stands in docs/protocols/ownership.md. What is not ours any more is given back and dropped
by sweep.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from store.core.caspaxos import owners, read_state
from store.core.coordination import Coordination
from store.core.data.datum import size
from store.core.machine import DamagedRecord
from store.core.messages import RESERVED, Datum, Note, Pull, Pulled, Register
from store.core.options import MS, Options
from store.core.ownership.layout import Placement
from store.core.ownership.moves import Arc, moving
from store.core.ownership.notes import noted
from store.core.ownership.sweep import Sweep, is_older
from store.core.port import Port
from store.core.procedure import All, Ask, Group, Procedure
from store.core.proposer import Proposer
from store.core.replica import ACCEPTOR, DATUM, Replica

PROGRESS: Final = "m/transfer"
"""Storage key."""
PAGE: Final = 256
"""How many keys of a family an old owner examines for one answer: it has to look at all it keeps, because
records lie in the order of their keys and not of their positions."""
PAGE_BYTES: Final = 512 << 10
ATTEMPT_NANOS: Final = 1_000 * MS
AGAIN_NANOS: Final = 100 * MS
ATTEMPTS: Final = 3
"""How often an old owner that is not needed is tried in vain before it is done without."""
ABREAST: Final = 32
"""Registers that are settled side by side."""


class Source:
    """An old owner, and how far one has got with it."""

    __slots__ = ("after", "done", "failures")

    def __init__(self, after: str, done: bool) -> None:
        self.after = after
        self.done = done
        self.failures = 0


class Transfer:
    """`moved` is called when this node has, durably, all that it is to pull by the present layout."""

    def __init__(
        self, port: Port, options: Options, replica: Replica, proposer: Proposer, moved: Callable[[], None]
    ) -> None:
        self.handlers: dict[type, Callable[[str, Any], None]] = {}
        self._port = port
        self._options = options
        self._replica = replica
        self._proposer = proposer
        self._announce = moved
        self._sweep = Sweep(port, options, replica)
        self._place: Placement | None = None
        self._arcs: tuple[Arc, ...] = ()
        self._sources: dict[str, Source] = {}
        self._settled: dict[str, None] = {}
        self._records = 0
        self._has_all = False
        replica.handlers[Pull] = self._pull

    def start(self) -> None:
        self.layout_changed()

    def layout_changed(self) -> None:
        """The node's placement is another now, or it serves where it did not."""
        place, name = self._port.placement, self._port.name
        if place is None or place is self._place:
            return
        self._place = place
        self._sources, self._settled, self._records, self._has_all = {}, {}, 0, False
        is_named = place.joint and set(place.lives(name)) == {self._port.birth}
        self._arcs = tuple([arc for arc in moving(place) if name in arc.pullers]) if is_named else ()
        self._sweep.layout_changed()
        if self._arcs:
            self._begin(place)

    def status(self) -> dict[str, Any]:
        own = self._sweep.status()
        if self._arcs:
            own["transfer"] = {
                "arcs_done": sum([self._has_enough(arc.old) for arc in self._arcs]),
                "arcs": len(self._arcs),
                "records_pulled": self._records,
                "from": {
                    name: "done" if source.done else f"after {source.after!r}"
                    for name, source in self._sources.items()
                },
                "has_all": self._has_all,
            }
        return own

    # Pulling ---------------------------------------------------------------------------------------------

    def _begin(self, place: Placement) -> None:
        progress = noted(self._port.journal, PROGRESS)
        if progress is not None and progress["epoch"] != place.epoch:
            progress = None
        at: dict[str, Any] = {} if progress is None else progress["from"]
        for name in sorted({node for arc in self._arcs for node in arc.old}):
            after, done = at.get(name, ("", False))
            self._sources[name] = Source(after, done)
        if progress is None:
            self._clear(place, "")
        else:
            self._next(place)

    def _clear(self, place: Placement, after: str) -> None:
        """Forget what was left here from an earlier time and may have been deleted since: the tombstones of
        that time need not be there any more to hold against it."""
        if place is not self._port.placement:
            return
        keys = self._port.journal.scan(DATUM, DATUM + after, PAGE)
        for key in [stored.removeprefix(DATUM) for stored in keys]:
            if self._port.name in place.pullers(key) and self._port.name not in place.replicas(key)[0]:
                self._forget_if_old(key)
            after = key
        if len(keys) == PAGE:
            self._port.after(0, lambda: self._clear(place, after))
        else:
            self._next(place)

    def _forget_if_old(self, key: str) -> None:
        try:
            datum = self._replica.datum(key)
        except DamagedRecord:
            self._replica.restore(key, None)
            return
        if datum is not None and is_older(datum, self._options.tombstone_grace_nanos, self._port.wall):
            self._replica.drop(key)

    def _next(self, place: Placement) -> None:
        """Go on with the source that has failed least."""
        if place is not self._port.placement or self._has_all:
            return
        if self._replica.unable() is not None:
            self._port.after(AGAIN_NANOS, lambda: self._next(place))
            return
        self._keep_progress(place)
        open_sources = [(source.failures, name) for name, source in self._sources.items() if not source.done]
        if all(self._has_enough(arc.old) for arc in self._arcs) and all(
            failures >= (ATTEMPTS if self._port.alive(name) else 1) for failures, name in open_sources
        ):
            self._has_all = True
            self._port.journal.then(lambda: self._finish(place, [name for _, name in open_sources]))
            return
        _, name = min(open_sources)
        self._port.run(
            self._page(place, name, self._sources[name].after),
            ATTEMPT_NANOS,
            lambda page: self._got(place, name, page),
        )

    def _has_enough(self, old: tuple[str, ...]) -> bool:
        return sum([self._sources[name].done for name in old]) > len(old) // 2

    def _keep_progress(self, place: Placement) -> None:
        at = {name: (source.after, source.done) for name, source in self._sources.items()}
        self._port.journal.put(PROGRESS, Note({"epoch": place.epoch, "from": at}))

    def _finish(self, place: Placement, without: list[str]) -> None:
        if place is self._port.placement:
            self._port.happened("transfer-done", epoch=place.epoch, records=self._records, without=without)
            self._announce()

    def _page(self, place: Placement, name: str, after: str) -> Procedure[Pulled | None]:
        question = Pull(self._port.next_rid(), place.epoch, after, PAGE)
        answers = yield Ask((Group((name,), 1),), question)
        return next((answer for _, answer in answers if isinstance(answer, Pulled)), None)

    def _got(self, place: Placement, name: str, page: Pulled | None) -> None:
        if place is not self._port.placement:
            return
        if page is None:
            self._sources[name].failures += 1
            self._port.after(AGAIN_NANOS, lambda: self._next(place))
            return
        for key, datum in page.data:
            try:
                self._replica.merge_in(key, datum)
            except DamagedRecord:
                self._replica.restore(key, datum)
        self._settle(place, name, page, [key for key in page.registers if key not in self._settled])

    def _settle(self, place: Placement, name: str, page: Pulled, keys: list[str]) -> None:
        """Have the registers `keys` chosen by the joint quorums; again and again, until all are."""
        if place is not self._port.placement:
            return
        if not keys:
            self._turn_page(place, name, page)
            return

        def settled(done: list[str]) -> None:
            if place is self._port.placement:
                self._settled.update(dict.fromkeys(done))
                rest = [key for key in keys if key not in self._settled]
                wait_nanos = 0 if done else AGAIN_NANOS
                self._port.after(wait_nanos, lambda: self._settle(place, name, page, rest))

        self._port.run(self._choose(keys[:ABREAST]), ATTEMPT_NANOS, settled)

    def _choose(self, keys: list[str]) -> Procedure[list[str]]:
        """Those of `keys` whose state is now chosen. `read_state` is the identity change, unless it sees in
        one round that there is nothing to do."""
        c = Coordination(self._port, self._proposer, 0, self._port.now + ATTEMPT_NANOS)
        states = yield All(tuple([read_state(c, key, owners(c, key)) for key in keys]))
        return [key for key, state in zip(keys, states, strict=True) if isinstance(state, Register)]

    def _turn_page(self, place: Placement, name: str, page: Pulled) -> None:
        source = self._sources[name]
        source.after, source.done, source.failures = page.through, not page.more, 0
        count = len(page.data) + len(page.registers)
        self._records += count
        pause_nanos = count * 1_000 * MS // self._options.transfer_per_second
        self._port.after(pause_nanos, lambda: self._next(place))

    # Being pulled from -----------------------------------------------------------------------------------

    def _pull(self, peer: str, question: Pull) -> None:
        """The wall: as every question this one has come by the present epoch, so nothing is taken here any
        more by an earlier one, and what was taken is in the answer."""
        place = self._port.placement
        assert place is not None
        journal, after = self._port.journal, question.after
        data = [key.removeprefix(DATUM) for key in journal.scan(DATUM, DATUM + after, question.limit)]
        registers = [
            key.removeprefix(ACCEPTOR) for key in journal.scan(ACCEPTOR, ACCEPTOR + after, question.limit)
        ]
        ends = [keys[-1] for keys in (data, registers) if len(keys) == question.limit]
        through, more = min(ends, default=max([after, *data[-1:], *registers[-1:]])), bool(ends)
        found: list[tuple[str, Datum]] = []
        bytes_left = PAGE_BYTES
        for key in data:
            if key > through:
                break
            if self._is_for(place, peer, key) and (datum := self._replica.datum(key)) is not None:
                bytes_left -= len(key) + size(datum)
                if found and bytes_left < 0:
                    through, more = found[-1][0], True
                    break
                found.append((key, datum))
        wanted = [key for key in registers if key <= through and self._is_for(place, peer, key)]
        answer = Pulled(question.rid, tuple(found), tuple(wanted), through, more)
        journal.then(lambda: self._port.send(peer, answer))

    def _is_for(self, place: Placement, peer: str, key: str) -> bool:
        """Whether `peer` is to pull `key`, and from us."""
        if key.startswith(RESERVED) or peer not in place.pullers(key):
            return False
        return self._port.name in place.replicas(key)[0]
