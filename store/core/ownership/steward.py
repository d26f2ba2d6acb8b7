"""Who decides on the next layout, and sees to it that a move comes to its end.

Layout e + 1 is the value of a register that is written once, `LAYOUT_KEY` with that number, kept by the
council of layout e and asked by epoch e. While ownership moves, the council waits until all who have
something to pull have said that they have it, and then proposes that the new owners be the only ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.msgpack import Decoder, Encoder

from store.core.caspaxos import change_state, read_state
from store.core.coordination import Coordination
from store.core.messages import RESERVED, Done, Failed, Layout, LayoutIs, Moved, Register
from store.core.options import MS
from store.core.ownership.changes import completed
from store.core.ownership.layout import Placement
from store.core.ownership.moves import pulling
from store.core.port import Port
from store.core.procedure import Group, Procedure
from store.core.proposer import Proposer, Quorums

LAYOUT_KEY: Final = RESERVED + "layout/"
PROPOSAL_NANOS: Final = 1_000 * MS
"""How long one attempt may take; a lost message can cost it."""
WATCH_NANOS: Final = 250 * MS
PRECEDENCE: Final = 4
"""How many watches a member of the council waits for each one before it in the list."""

encode: Final = Encoder().encode
decode: Final = Decoder(Layout).decode


class Steward:
    """`adopt` is given what has been decided."""

    def __init__(self, port: Port, proposer: Proposer, adopt: Callable[[Layout], None]) -> None:
        self.handlers: dict[type, Callable[[str, Any], None]] = {Moved: self._moved}
        self._port = port
        self._proposer = proposer
        self._adopt = adopt
        self._proposing = False
        self._have_moved: dict[int, dict[str, None]] = {}
        self._watched = 0
        self._complete_for = 0
        self.pulling: tuple[str, ...] = ()
        """Who has something to pull by the present layout."""

    def layout_changed(self) -> None:
        place = self._port.placement
        assert place is not None
        self.pulling = pulling(place)
        self._have_moved = {epoch: nodes for epoch, nodes in self._have_moved.items() if epoch >= place.epoch}
        self._complete_for = 0
        if place.joint and self._watched != place.epoch:
            self._watched = place.epoch
            self._watch(place.epoch)

    # The end of a move -----------------------------------------------------------------------------------

    def _moved(self, peer: str, message: Moved) -> None:
        place = self._port.placement
        epoch = 0 if place is None else place.epoch
        if message.epoch in (epoch, epoch + 1):
            self._have_moved.setdefault(message.epoch, {})[peer] = None

    def unmoved(self) -> list[str]:
        """Who has not said yet that it has all it is to pull, as far as this member of the council knows."""
        place = self._port.placement
        moved = {} if place is None else self._have_moved.get(place.epoch, {})
        return [name for name in self.pulling if name not in moved]

    def _watch(self, epoch: int) -> None:
        place = self._port.placement
        if place is None or place.epoch != epoch:
            return
        council = place.layout.council
        if self._port.name in council:
            unmoved = self.unmoved()
            for name in unmoved:
                self._port.send(name, LayoutIs(place.layout))
            if not unmoved:
                before = council[: council.index(self._port.name)]
                if self._complete_for >= PRECEDENCE * sum([self._port.alive(name) for name in before]):
                    self.propose(completed(place.layout, self._port.alive))
                self._complete_for += 1
        self._port.after(WATCH_NANOS, lambda: self._watch(epoch))

    # Deciding --------------------------------------------------------------------------------------------

    def propose(self, layout: Layout) -> None:
        """Have the council of the present layout, which is the one before `layout`, decide: on it, or on what
        was proposed to it earlier. One attempt, in the background; none while one is under way."""
        place = self._port.placement
        assert place is not None
        assert layout.epoch == place.epoch + 1
        if not self._proposing:
            self._proposing = True
            self._port.run(self._decide(place, layout), PROPOSAL_NANOS, self._decided)

    def _decide(self, place: Placement, layout: Layout) -> Procedure[Layout | None]:
        """What is decided; None: it is not known."""
        key = f"{LAYOUT_KEY}{layout.epoch}"
        council = place.layout.council
        quorums = Quorums(place.epoch, (Group(council, len(council) // 2 + 1),))
        c = Coordination(self._port, self._proposer, 0, self._port.now + PROPOSAL_NANOS)
        value = encode(layout)
        response = yield from change_state(
            c, key, lambda: quorums, lambda held: (value,) if held is None else None
        )
        if isinstance(response, Done):
            return layout
        if isinstance(response, Failed) and response.code == "mismatch":
            state = yield from read_state(c, key, lambda: quorums)
            if isinstance(state, Register) and state.value is not None:
                return decode(state.value)
        return None

    def _decided(self, layout: Layout | None) -> None:
        self._proposing = False
        if layout is not None:
            self.tell(layout)
            self._adopt(layout)

    def tell(self, layout: Layout) -> None:
        """Tell all whom `layout`, or the present one, names."""
        place = self._port.placement
        names = dict.fromkeys(() if place is None else place.names)
        names.update(dict.fromkeys([member.name for member in (*layout.owners, *(layout.next or ()))]))
        for name in names:
            if name != self._port.name:
                self._port.send(name, LayoutIs(layout))
