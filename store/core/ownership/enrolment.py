"""Births: a node that has lost its data is not the same acceptor, and must not act as if it were.

The first layout cannot name the lives of its owners, because it is made before they begin. So each life has
to be remembered by others before it serves. Enough of them that any two such sets share one: a second life of
the node is then refused by somebody. The node itself does not count, for it is its memory that may be lost.
Later layouts name lives, and this protocol is over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from store.core.machine import DamagedRecord
from store.core.messages import Births, Enrol, Enrolled, Layout, LayoutIs, Member, Note, WantBirths
from store.core.options import MS
from store.core.ownership.layout import Placement
from store.core.ownership.notes import noted
from store.core.port import Port

ENROLLED: Final = "m/enrolled"
LIVES: Final = "m/lives"
"""Storage keys: that this life serves; and the lives of others."""

AGAIN_NANOS: Final = 200 * MS


def witnesses(nodes: int) -> int:
    """How many others must remember a life, in a first layout of so many nodes."""
    return 0 if nodes == 1 else (nodes - 1) // 2 + 1


class Enrolment:
    """`serves`: this life of the node is the one that the first layout means. `enrolled` is called when that
    comes true, `refused` with the peer that remembers another life."""

    def __init__(
        self,
        port: Port,
        first: Layout | None,
        enrolled: Callable[[], None],
        refused: Callable[[str], None],
    ) -> None:
        self.handlers: dict[type, Callable[[str, Any], None]] = {
            Enrol: self._enrol,
            Enrolled: self._remembered,
            WantBirths: self._want_births,
            Births: self._births,
        }
        self._port = port
        self._enrolled = enrolled
        self._refused = refused
        self._nodes = [] if first is None else [member.name for member in first.owners]
        self._others = [name for name in self._nodes if name != port.name]
        self.is_refused = False
        self._has_forgotten = False
        self._lives: dict[str, int] = {}
        try:
            held = port.journal.get(LIVES)
        except DamagedRecord:
            self._has_forgotten = True
        else:
            self._lives = dict(held.content) if isinstance(held, Note) else {}
        self._witnesses: dict[str, None] = {}
        self._heard: dict[str, dict[str, int]] = {}
        self.serves = first is not None and (not self._others or noted(port.journal, ENROLLED) is True)

    def start(self) -> None:
        if self._others and not self.serves:
            self._port.journal.then(self._ask)  # no life is told of before it is durable

    def _wanted(self) -> bool:
        place = self._port.placement
        return not self.serves and not self.is_refused and place is not None and place.epoch == 1

    def _ask(self) -> None:
        if self._wanted():
            for peer in self._others:
                if peer not in self._witnesses:
                    self._port.send(peer, Enrol(self._port.name, self._port.birth))
            self._port.after(AGAIN_NANOS, self._ask)

    def _enrol(self, peer: str, message: Enrol) -> None:
        place = self._port.placement
        if place is None or self.is_refused or self._has_forgotten:
            return
        if place.epoch > 1:
            self._port.send(peer, LayoutIs(place.layout))
            return
        birth = self._lives.get(message.node)
        if birth is None:
            birth = self._lives[message.node] = message.birth
            self._port.journal.put(LIVES, Note(dict(self._lives)))
        self._port.journal.when_durable(LIVES, peer, Enrolled(message.node, birth))

    def _remembered(self, peer: str, message: Enrolled) -> None:
        port = self._port
        if message.node != port.name or peer not in self._others or not self._wanted():
            return
        if message.birth != port.birth:
            self.is_refused = True
            self._refused(peer)
            return
        self._witnesses[peer] = None
        if len(self._witnesses) >= witnesses(len(self._nodes)):
            self.serves = True
            port.journal.put(ENROLLED, Note(True))
            self._enrolled()

    # The second layout names the lives of the first one's owners ----------------------------------------

    def _want_births(self, peer: str, message: WantBirths) -> None:
        lives = dict(self._lives)
        lives.pop(self._port.name, None)
        if self.serves:
            lives[self._port.name] = self._port.birth
        answer = Births(tuple([Member(name, birth) for name, birth in sorted(lives.items())]))
        self._port.journal.when_durable(LIVES, peer, answer)

    def _births(self, peer: str, message: Births) -> None:
        self._heard[peer] = {member.name: member.birth for member in message.members}

    def inquire(self) -> None:
        """Ask everybody, this node included; what they say shows in `birth`."""
        for peer in self._nodes:
            self._port.send(peer, WantBirths())

    def birth(self, place: Placement, name: str) -> int:
        """Under which life `name` serves in the first layout, as far as it is known for certain: by its own
        word, or by that of enough witnesses. Else 0."""
        own = self._heard.get(name, {}).get(name)
        if own is not None:
            return own
        said = [lives[name] for lives in self._heard.values() if name in lives]
        likely = max(said, key=said.count, default=0)
        enough = witnesses(len(place.layout.owners))
        return likely if said.count(likely) >= enough > 0 else 0
