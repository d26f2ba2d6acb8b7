"""Which layout this node goes by, how layouts spread, and whether the node has a part in its own.

A layout is durable here before it is used, so a node that once refused an epoch refuses it for ever: on that
rests that nothing is acknowledged behind the back of those who move data (docs/protocols/ownership.md).
Births stand in enrolment.py, decisions in steward.py, operators' wishes in wishes.py and changes.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal

from store.core.coordination import Coordination
from store.core.machine import DamagedRecord
from store.core.messages import (
    Admin,
    Advised,
    Layout,
    LayoutIs,
    Moved,
    Note,
    Response,
    WantLayout,
    WantPart,
)
from store.core.options import MS, Options
from store.core.ownership.changes import described
from store.core.ownership.enrolment import Enrolment
from store.core.ownership.layout import Placement
from store.core.ownership.steward import Steward, decode, encode
from store.core.ownership.wishes import Wishes
from store.core.port import Port
from store.core.procedure import Procedure
from store.core.proposer import Proposer

LAYOUT: Final = "m/layout"
"""Storage key."""
POLL_NANOS: Final = 500 * MS
"""How often a node that waits for something asks another."""
TOLD_NANOS: Final = 50 * MS
"""How long a peer that has been told the layout is not told it again."""
PAST_MAX: Final = 1_000

Standing = Literal["serves", "enrolling", "forgotten", "amnesia", "newcomer", "left", "damaged"]
STANDINGS: Final[dict[Standing, str]] = {
    "serves": "",
    "enrolling": "waits until enough others remember this life of its data",
    "forgotten": "knows no layout yet",
    "amnesia": "its data are not those of the life that has a part here; asks to be removed and joined again",
    "newcomer": "has no part yet, and asks for one",
    "left": "has no part any more",
    "damaged": "its record of the layout is damaged: empty its data directory, and it will be joined again",
}
"""Why a node does not serve."""


class Epochs:
    """`placement` is the newest layout that this node holds durably; `serves`: this node answers as a replica
    of it. `changed` are called after either changed."""

    def __init__(self, port: Port, options: Options, first: Layout | None, proposer: Proposer) -> None:
        self.placement: Placement | None = None
        self.changed: list[Callable[[], None]] = []
        self.standing: Standing = "forgotten"
        self._port = port
        self._options = options
        self._adopting = 0
        self._told: dict[str, tuple[int, int]] = {}
        self._polls = False
        self._had_part = False
        self._past: frozenset[str] = frozenset()
        self._advice = ""
        self._enrolment = Enrolment(port, first, self._enrolled, self._refused)
        self._steward = Steward(port, proposer, self.adopt)
        self._wishes = Wishes(port, self._steward, self._enrolment, lambda: self._past)
        self.handlers: dict[type, Callable[[str, Any], None]] = {
            LayoutIs: self._layout_is,
            WantLayout: lambda peer, message: self.heard(peer, message.epoch),
            Advised: self._advised,
            **self._enrolment.handlers,
            **self._steward.handlers,
            **self._wishes.handlers,
        }
        try:
            held = port.journal.get(LAYOUT)
        except DamagedRecord:
            self.standing = "damaged"
        else:
            if isinstance(held, Note):
                self._had_part = held.content["part"]
                self._past = frozenset(held.content["past"])
                self.placement = Placement(decode(held.content["layout"]))
            elif first is not None:
                self.placement = Placement(first)
            self.standing = self._stands()
        self.serves = self.standing == "serves"

    def start(self) -> None:
        if self.standing == "damaged":
            self._port.happened("record-damaged", key=LAYOUT)
            return
        self._enrolment.start()
        if self.placement is not None:
            self._steward.layout_changed()
        self._poll_if_needed()

    def admin(self, c: Coordination, wish: Admin) -> Procedure[Response]:
        """Carry out join, leave, replace or bucket."""
        return self._wishes.admin(c, wish)

    # Telling ---------------------------------------------------------------------------------------------

    def heard(self, peer: str, epoch: int) -> None:
        """A message of `peer` has told its epoch."""
        place = self.placement
        mine = 0 if place is None else place.epoch
        if epoch > mine:
            self._port.send(peer, WantLayout(mine))
        elif place is not None and epoch < mine:
            told, when = self._told.get(peer, (0, 0))
            if told != mine or self._port.now - when >= TOLD_NANOS:
                self._told[peer] = (mine, self._port.now)
                self._port.send(peer, LayoutIs(place.layout))

    def _layout_is(self, peer: str, message: LayoutIs) -> None:
        place = self.placement
        if place is not None and message.layout.epoch == place.epoch and message.layout != place.layout:
            self._port.happened(
                "layouts-differ",
                epoch=place.epoch,
                mine=place.digest,
                of=peer,
                its=Placement(message.layout).digest,
            )
            return
        self.adopt(message.layout)

    # Adoption --------------------------------------------------------------------------------------------

    def adopt(self, layout: Layout) -> None:
        """Go by `layout`, which has been decided, from when it is durable here; unless a newer one is
        known."""
        mine = 0 if self.placement is None else self.placement.epoch
        if layout.epoch <= max(mine, self._adopting) or self.standing == "damaged":
            return
        self._adopting = layout.epoch
        place = Placement(layout)
        part = self._had_part or self.serves or self._is_named(place)
        past = (
            set(self._past) | set(place.names) | set(() if self.placement is None else self.placement.names)
        )
        content = {"layout": encode(layout), "part": part, "past": sorted(past)[:PAST_MAX]}
        self._port.journal.put(LAYOUT, Note(content))
        self._port.journal.then(lambda: self._go_by(place, part, frozenset(past)))

    def _go_by(self, place: Placement, part: bool, past: frozenset[str]) -> None:
        if self.placement is not None and self.placement.epoch >= place.epoch:
            return
        self.placement, self._had_part, self._past = place, part, past
        self._told.clear()
        layout = place.layout
        self._port.happened(
            "layout-adopted", epoch=place.epoch, nodes=list(place.names), moving=described(layout)
        )
        self._stand()
        self._steward.layout_changed()
        for act in self.changed:
            act()
        if self.standing == "amnesia":
            self._ask()  # at once: or what an operator asks for again and again would always come first
        self._poll_if_needed()

    def _is_named(self, place: Placement) -> bool:
        lives = place.lives(self._port.name)
        return bool(lives) and all(birth == self._port.birth for birth in lives)

    # Whether it serves -----------------------------------------------------------------------------------

    def _stands(self) -> Standing:
        place = self.placement
        if place is None:
            return "forgotten"
        if not place.lives(self._port.name):
            return "left" if self._had_part else "newcomer"
        if place.epoch == 1:
            if self._enrolment.serves:
                return "serves"
            return "amnesia" if self._enrolment.is_refused else "enrolling"
        if self._is_named(place):
            return "serves"
        return "left" if self._had_part else "amnesia"

    def _stand(self) -> None:
        before, self.standing = self.standing, self._stands()
        self.serves = self.standing == "serves"
        if self.standing != before:
            self._port.happened(self.standing, why=STANDINGS[self.standing])

    def _enrolled(self) -> None:
        self._stand()
        for act in self.changed:
            act()

    def _refused(self, peer: str) -> None:
        self._stand()
        self._poll_if_needed()

    # Asking ----------------------------------------------------------------------------------------------

    def _waits(self) -> bool:
        place = self.placement
        return place is None or place.joint or self.standing in ("newcomer", "amnesia")

    def _poll_if_needed(self) -> None:
        if self._waits() and not self._polls:
            self._polls = True
            self._poll()

    def _poll(self) -> None:
        if not self._waits() or self.standing == "damaged":
            self._polls = False
            return
        self._ask()
        self._port.after(POLL_NANOS, self._poll)

    def _ask(self) -> None:
        port, place, options = self._port, self.placement, self._options
        wanted: list[WantLayout | WantPart] = [WantLayout(0 if place is None else place.epoch)]
        if place is not None and self.standing in ("newcomer", "amnesia"):
            wanted.append(WantPart(place.epoch, port.birth, options.address))
        known = dict.fromkeys([*options.peers, *(() if place is None else place.names)])
        known.pop(port.name, None)
        for message in wanted:
            if known:
                port.send(port.rng.choice(list(known)), message)
            if self.standing in ("forgotten", "newcomer", "amnesia"):
                for seed in options.seeds:
                    port.send_to(seed, message)

    def _advised(self, peer: str, message: Advised) -> None:
        if not self.serves:
            self._advice = f"{peer}: {message.text}"
            self._port.happened("advised", text=self._advice)

    # Moving ----------------------------------------------------------------------------------------------

    def moved(self) -> None:
        """This node has, durably, all that it is to pull by the present layout."""
        assert self.placement is not None
        self._tell_moved(self.placement.epoch)

    def _tell_moved(self, epoch: int) -> None:
        place = self.placement
        if place is not None and place.epoch == epoch:
            for name in place.layout.council:
                self._port.send(name, Moved(epoch))
            self._port.after(POLL_NANOS, lambda: self._tell_moved(epoch))

    def status(self) -> dict[str, Any]:
        own: dict[str, Any] = {"serves": self.serves, "standing": self.standing, "birth": self._port.birth}
        if not self.serves:
            own["why_not"] = STANDINGS[self.standing]
            if self._advice:
                own["advice"] = self._advice
        place = self.placement
        if place is None:
            return own
        own |= {
            "epoch": place.epoch,
            "nodes": list(place.names),
            "owners": [member.name for member in place.layout.owners],
            "replication": place.layout.replication,
            "layout": place.digest,
            "council": list(place.layout.council),
        }
        if place.joint:
            own["next"] = [member.name for member in place.layout.next or ()]
            own["moving"] = described(place.layout)
            if self._port.name in place.layout.council:
                own["waits_for"] = self._steward.unmoved()
        return own
