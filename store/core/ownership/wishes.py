"""Carries out wishes about who owns what: looks where the layout is, does the next step (changes.py) through
the steward, and looks again, until it is as wished."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast, get_args

from msgspec.structs import replace

from store.core.coordination import Coordination
from store.core.messages import (
    NAME_CHARS_MAX,
    REPLICATION_MAX,
    Admin,
    Advised,
    Bucket,
    Conflict,
    Done,
    Failed,
    Layout,
    Member,
    Response,
    WantLayout,
    WantPart,
)
from store.core.options import MS
from store.core.ownership.changes import (
    Join,
    Leave,
    Propose,
    Reached,
    Refused,
    Renew,
    Replace,
    Wait,
    Wish,
    step,
)
from store.core.ownership.enrolment import Enrolment
from store.core.ownership.layout import Placement
from store.core.ownership.steward import Steward
from store.core.port import Port
from store.core.procedure import Procedure, Rest

LOOK_NANOS: Final = 20 * MS
ASK_EVERY: Final = 10
"""How often it looks what has come of it, and every how many looks it asks a member of the council."""
GOODBYE_LOOKS: Final = 100
"""How long the life of a node that goes is asked for, if no layout has named it so far."""
CONFLICTS: Final = get_args(Conflict)
BIRTH_MAX: Final = 1 << 62


class BadWish(ValueError):
    """One sentence that names the argument and what is allowed."""


class Wishes:
    """`past` gives the nodes that are known to have had a part in earlier layouts."""

    def __init__(
        self,
        port: Port,
        steward: Steward,
        enrolment: Enrolment,
        past: Callable[[], frozenset[str]],
    ) -> None:
        self.handlers: dict[type, Callable[[str, Any], None]] = {WantPart: self._want_part}
        self._port = port
        self._steward = steward
        self._enrolment = enrolment
        self._past = past

    def admin(self, c: Coordination, body: Admin) -> Procedure[Response]:
        try:
            wish = parse(body)
        except BadWish as error:
            return Failed(c.request_id, "bad-request", str(error))
        newcomer = body.arguments.get("by") if isinstance(wish, Replace) else body.arguments.get("node")
        if newcomer and body.arguments.get("address"):
            self._port.meet(newcomer, body.arguments["address"])
        return (yield from self.pursue(c, wish))

    def pursue(self, c: Coordination, wish: Wish) -> Procedure[Response]:
        """Answers when the layout is stable and as wished, or cannot be, or it is late."""
        looks = proposed = moves_since = 0
        while not c.late():
            place = self._port.placement
            if place is None:
                return Failed(c.request_id, "unavailable", "this node does not know yet who keeps what")
            layout = self._named(place)
            now = step(layout, wish, self._port.alive, self._past(), self._steward.pulling)
            match now:
                case Reached(detail):
                    return Done(c.request_id, f"{detail}; the layout's epoch is {place.epoch}")
                case Refused(text, again):
                    return Failed(c.request_id, "unavailable" if again else "bad-request", text)
                case Wait(ours):
                    moves_since = place.epoch if ours else 0
                case Propose(following):
                    if moves_since and not place.joint:
                        return Failed(
                            c.request_id, "contended", "it had begun and was called off by another wish"
                        )
                    if self._are_known(following, looks):
                        proposed = following.epoch
                        self._steward.propose(following)
            if looks % ASK_EVERY == 0:
                self._ask(place)
            looks += 1
            yield Rest(LOOK_NANOS)
        if proposed or moves_since:
            return Failed(
                c.request_id, "timeout", "it has begun, and may go on; ask for it again to see its end"
            )
        return Failed(c.request_id, "unavailable", "too few of those who decide on layouts are to be reached")

    def _named(self, place: Placement) -> Layout:
        """The layout, with the lives of the first one's owners."""
        layout = place.layout
        if place.epoch > 1:
            return layout
        births = [self._enrolment.birth(place, member.name) for member in layout.owners]
        owners = [Member(member.name, birth) for member, birth in zip(layout.owners, births, strict=True)]
        return replace(layout, owners=tuple(owners))

    def _are_known(self, following: Layout, looks: int) -> bool:
        """Whether each life that is to own something is known. Of one that goes it is waited for a while: if
        the layout does not name it, it serves no more from now on."""
        stays = following.next or following.owners
        if any(not member.birth for member in stays):
            return False
        return looks >= GOODBYE_LOOKS or all(member.birth for member in following.owners)

    def _ask(self, place: Placement) -> None:
        """What is known of the layout, or must be known for the next one."""
        if place.epoch == 1:
            self._enrolment.inquire()
        others = [name for name in place.layout.council if name != self._port.name]
        if others:
            self._port.send(self._port.rng.choice(others), WantLayout(place.epoch))

    def _want_part(self, peer: str, message: WantPart) -> None:
        """A peer that has no part asks for one. Only one step is done for each time that it asks, and only by
        those who see the same layout: so a question that comes late, or of a life that is lost, changes
        nothing that came after it."""
        place = self._port.placement
        if place is None or place.epoch != message.epoch:
            return
        if message.address:
            self._port.meet(peer, message.address)
        if place.epoch == 1:
            self._enrolment.inquire()
        self._port.after(LOOK_NANOS, lambda: self._renew(place, peer, message.birth))

    def _renew(self, place: Placement, peer: str, birth: int) -> None:
        if place is not self._port.placement:
            return
        wish = Renew(peer, birth)
        now = step(self._named(place), wish, self._port.alive, self._past(), self._steward.pulling)
        match now:
            case Propose(following) if self._are_known(following, GOODBYE_LOOKS):
                self._steward.propose(following)
            case Refused(text):
                self._port.send(peer, Advised(text))


def parse(body: Admin) -> Wish:
    """Raises `BadWish`."""
    arguments = body.arguments
    match body.action:
        case "join":
            return Join(_name(arguments, "node"), _birth(arguments))
        case "leave":
            return Leave(_name(arguments, "node"))
        case "replace":
            return Replace(_name(arguments, "node"), _name(arguments, "by"), _birth(arguments))
        case "bucket":
            conflict = arguments.get("conflict", "")
            if conflict not in CONFLICTS:
                raise BadWish(f"conflict {conflict!r} is not one of: {', '.join(CONFLICTS)}")
            n = _number(arguments, "n", REPLICATION_MAX)
            return Bucket(_name(arguments, "bucket"), n, cast("Conflict", conflict))
    raise BadWish(f"action {body.action!r} is not one of: join, leave, replace, bucket")


def _name(arguments: dict[str, str], what: str) -> str:
    name = arguments.get(what, "")
    if not 1 <= len(name) <= NAME_CHARS_MAX or "/" in name:
        raise BadWish(f"{what} needs a name of 1 to {NAME_CHARS_MAX} characters without '/', not {name!r}")
    return name


def _birth(arguments: dict[str, str]) -> int:
    return _number(arguments, "birth", BIRTH_MAX)


def _number(arguments: dict[str, str], what: str, most: int) -> int:
    text = arguments.get(what, "")
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise BadWish(f"{what} must be a whole number from 1 to {most}, not {text!r}")
    return int(text)
