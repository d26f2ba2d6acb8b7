"""Edits that only a replica can make: each is an event of that replica's own, on top of what it holds.

*Once.* An edit that is asked again, because the answer or the question was delayed or doubled, is done once:
a replica remembers what it has done in sessions (Ongaro 2014, section 6.3) that live as long as its process.
A question from before a restart names a session that is not known any more, and is not carried out.

*Under one's own name.* The events of an actor are numbered, and a number must never be used for two of them.
So the actor is this life of the data directory; it takes another name when records that counted in its name
may be lost or given away; and its first number for a key is the clock's microseconds, above all it can have
used before a tombstone was dropped (docs/protocols/data.md).
"""

from __future__ import annotations

from typing import Final

from store.core.data import counter, elements, siblings
from store.core.data.datum import gives_way, merge, size, wrong_kind
from store.core.data.hlc import HybridClock
from store.core.machine import DamagedRecord
from store.core.messages import (
    Add,
    AddRemove,
    Assign,
    Count,
    Datum,
    Edit,
    Elements,
    Note,
    Session,
    Siblings,
    Unable,
    Update,
    Updated,
)
from store.core.port import Port
from store.core.replica import DATUM, Replica

ACTOR: Final = "m/actor"
SESSIONS_MAX: Final = 1_000
REMEMBERED_MAX: Final = 4_096
"""Edits of one session."""

_HOLDS: Final[dict[type[Edit], type[Datum]]] = {Assign: Siblings, Add: Count, AddRemove: Elements}
_DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"


class _Outcomes:
    """What came of a session's edits: None is done. Of those up to `forgotten` it is not known any more."""

    __slots__ = ("by_rid", "forgotten")

    def __init__(self) -> None:
        self.by_rid: dict[int, Unable | None] = {}
        self.forgotten = 0

    def note(self, rid: int, outcome: Unable | None) -> None:
        self.by_rid[rid] = outcome
        if len(self.by_rid) > REMEMBERED_MAX:
            oldest = next(iter(self.by_rid))
            del self.by_rid[oldest]
            self.forgotten = max(self.forgotten, oldest)


class Edits:
    def __init__(self, port: Port, replica: Replica, clock: HybridClock) -> None:
        self._port = port
        self._replica = replica
        self._clock = clock
        self._sessions: dict[int, _Outcomes] = {}
        self._last_event = 0
        self._generation: int
        self._epoch: int
        try:
            held = port.journal.get(ACTOR)
        except DamagedRecord:
            held = Note((port.rng.getrandbits(48), 0))  # one that it certainly has not had
            port.journal.put(ACTOR, held)
        self._generation, self._epoch = held.content if isinstance(held, Note) else (0, 0)
        self.actor = self._actor()
        """In whose name edits are counted."""
        replica.forgotten = self._forgotten
        replica.handlers[Update] = self._update

    def _update(self, peer: str, question: Update) -> None:
        """A question of a session that is forgotten is not answered: it is an old double."""
        rid, key = question.rid, question.key
        outcomes = self._sessions.get(question.session)
        if outcomes is None:
            self._port.send(peer, Session(rid, self._open_session()))
            return
        if rid not in outcomes.by_rid:
            if rid <= outcomes.forgotten:
                return
            # Should the record be damaged, the node answers; a double must then not be carried out either.
            outcomes.note(rid, Unable(rid, "unavailable"))
            outcomes.by_rid[rid] = self._carry_out(question)
        refused = outcomes.by_rid[rid]
        if refused is not None:
            self._port.send(peer, refused)
            return
        try:
            held = self._replica.datum(key)
        except DamagedRecord:
            return  # it was made, so nobody may hear that it was not
        if held is not None:
            self._port.journal.when_durable(DATUM + key, peer, Updated(rid, held))

    def _open_session(self) -> int:
        name = self._port.rng.getrandbits(62) | 1
        self._sessions[name] = _Outcomes()
        if len(self._sessions) > SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        return name

    def _carry_out(self, question: Update) -> Unable | None:
        rid, key, edit = question.rid, question.key, question.edit
        code = self._replica.unable()
        if code is not None:
            return Unable(rid, code)
        wanted = _HOLDS[type(edit)]
        held = self._replica.datum(key)
        if held is not None and type(held) is not wanted:
            if not gives_way(held, wanted, self._port.wall // 1_000_000):
                return Unable(rid, "bad-request", wrong_kind(key, held, wanted))
            held = None
        if question.seen is not None and type(question.seen) is wanted:
            held = merge(held, question.seen)
        edited = self._edited(held, edit)
        if isinstance(edited, str):
            return Unable(rid, "too-large", edited)
        if size(edited) > question.bytes_max and (held is None or size(edited) > size(held)):
            text = f"a key of this kind holds at most {question.bytes_max} bytes in this bucket"
            return Unable(rid, "too-large", text)
        self._replica.merge_in(key, edited)
        return None

    def _edited(self, held: Datum | None, edit: Edit) -> Datum | str:
        """What the key holds with `edit`, or why it cannot."""
        match edit:
            case Add(by):
                assert held is None or isinstance(held, Count)
                added = counter.add(held, self.actor, by)
                return added or "this replica's part of the counter is full"
            case AddRemove(add, remove):
                assert held is None or isinstance(held, Elements)
                changed = elements.change(held, self.actor, self._first_event(), add, remove)
                self._last_event = max(self._last_event, dict(changed.seen).get(self.actor, 0))
                return changed
            case Assign(context, value):
                assert held is None or isinstance(held, Siblings)
                return self._assigned(held, siblings.read_context(context), value)

    def _assigned(
        self, held: Siblings | None, context: dict[str, int], value: bytes | None
    ) -> Siblings | str:
        stamp = self._clock.stamp(self._port.wall // 1_000)
        edited = siblings.assign(held, self.actor, self._first_event(), stamp, context, value)
        count = siblings.count(edited)
        if count > siblings.SIBLINGS_MAX and (held is None or count > siblings.count(held)):
            return f"it has {count - 1} siblings already: read them, and write with the context of that"
        for actor, seen, _ in edited.entries:
            if actor == self.actor:
                self._last_event = max(self._last_event, seen)
        return edited

    def _first_event(self) -> int:
        micros = self._clock.stamp(self._port.wall // 1_000)[0]
        return max(micros, self._last_event + 1)

    # The name ----------------------------------------------------------------------------------------

    def _actor(self) -> str:
        return f"{self._port.name[:32]}#{_base36(self._port.birth)}.{_base36(self._generation)}"

    def _forgotten(self, unreadable: bool) -> None:
        """A record in which this node's events may be counted is no more. Once an epoch is often enough for
        what was given away: it is not this node's to edit before the next."""
        place = self._port.placement
        epoch = 0 if place is None else place.epoch
        if unreadable or epoch != self._epoch:
            self._generation += 1
            self._epoch = epoch
            self._port.journal.put(ACTOR, Note((self._generation, epoch)))
            self.actor = self._actor()


def _base36(number: int) -> str:
    digits = ""
    while number or not digits:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits
