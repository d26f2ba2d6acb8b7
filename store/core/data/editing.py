"""Edits that one replica makes (edits.py), as their coordinator sees it: choose the replica, have it done,
and give what came of it to the others.

An addition to a counter must not be made twice, so once it may have been made it is never asked of another
replica, nor in another session: it ends as `timeout`, which is indefinite, if the one that was asked does not
answer. For siblings and sets, twice is harmless (docs/protocols/data.md), so the next replica is tried.
"""

from __future__ import annotations

from store.core.coordination import Coordination
from store.core.data.quorum import FALLOVER_NANOS, gather, pause, write
from store.core.messages import (
    Add,
    AddRemove,
    Datum,
    Edit,
    Failed,
    Response,
    Session,
    Stale,
    Unable,
    Update,
    Updated,
)
from store.core.procedure import Answers, Ask, Group, Procedure
from store.core.replica import HintStore

Sessions = dict[str, int]
"""The session that each replica has given this node last."""


def edit(
    c: Coordination,
    hints: HintStore,
    sessions: Sessions,
    key: str,
    level: str,
    change: Edit,
    bytes_max: int,
) -> Procedure[Response]:
    """A removal from a set removes what R replicas have told of the element, so a read that saw the element
    comes before it in the sense of R + W > N."""
    seen: Datum | None = None
    if isinstance(change, AddRemove) and change.remove:
        gathered = yield from gather(c, key, level)
        if isinstance(gathered, Failed):
            return gathered
        seen = gathered.datum
    made = yield from _Attempt(c, sessions, key, change, seen, bytes_max).make()
    if isinstance(made, Failed):
        return made
    replica, datum = made
    return (yield from write(c, hints, key, level, datum, holder=replica))


class _Attempt:
    """One edit, until a replica has made it. `maybe`: one may have made it that has not said so."""

    def __init__(
        self,
        c: Coordination,
        sessions: Sessions,
        key: str,
        change: Edit,
        seen: Datum | None,
        bytes_max: int,
    ) -> None:
        self._c = c
        self._sessions = sessions
        self._key = key
        self._change = change
        self._seen = seen
        self._bytes_max = bytes_max
        self._rid = c.port.next_rid()
        self._once = isinstance(change, Add)
        self._maybe = False
        self._pinned: tuple[str, int] | None = None
        """The replica that may have made it, and the session in which, if it must not be made twice."""
        self._tried: list[str] = []
        self._refusal: Unable | None = None

    def make(self) -> Procedure[tuple[str, Datum] | Failed]:
        """The replica that made it, and what that now holds."""
        c = self._c
        attempt = 0
        while not c.late():
            replica = self._pinned[0] if self._pinned else self._next()
            if replica is None:
                if self._refusal is not None:
                    break
                self._tried.clear()
                continue
            session = self._pinned[1] if self._pinned else self._sessions.get(replica, 0)
            if self._once and session:
                self._pinned = replica, session
            patience_nanos = 0 if self._pinned else FALLOVER_NANOS
            answers: Answers = yield self._asked(replica, session, patience_nanos)
            answer = answers[0][1] if answers else None
            if type(answer) is Updated:
                return replica, answer.datum
            ended = self._declined(replica, session, answer)
            if ended is not None:
                return ended
            if type(answer) is Stale:
                attempt += 1
                yield pause(attempt)
                if self._pinned and replica not in self._replicas():
                    break
        return self._failed()

    def _asked(self, replica: str, session: int, patience_nanos: int) -> Ask:
        place = self._c.port.placement
        assert place is not None
        question = Update(
            self._rid, place.epoch, self._key, self._change, session, self._seen, self._bytes_max
        )
        return Ask((Group((replica,), 1),), question, {}, patience_nanos)

    def _declined(self, replica: str, session: int, answer: object) -> Failed | None:
        """Take note of any answer but that it is done; how it ends, if that is clear now."""
        match answer:
            case Session(session=given):
                self._sessions[replica] = given
                self._maybe = self._maybe or session != 0
                return self._failed() if self._once and session else None
            case Unable(code=code):
                self._refusal = answer
                self._pinned = None
                self._tried.append(replica)
                return self._failed() if code in ("bad-request", "too-large") else None
            case Stale():
                self._maybe = self._maybe or session != 0
            case _:
                self._maybe = self._maybe or session != 0
                self._tried.append(replica)
                # The next edit asks for a session first, and turns to another replica if that takes long.
                self._sessions.pop(replica, None)
        return None

    def _next(self) -> str | None:
        """This node itself, if it is a replica, then those that are believed alive."""
        port = self._c.port
        left = [peer for peer in self._replicas() if peer not in self._tried]
        return min(left, key=lambda peer: (peer != port.name, not port.alive(peer)), default=None)

    def _replicas(self) -> tuple[str, ...]:
        """Those that keep the key now, not those that will: these may not have all of it yet."""
        place = self._c.port.placement
        assert place is not None
        return place.replicas(self._key)[0]

    def _failed(self) -> Failed:
        request_id = self._c.request_id
        if self._maybe:
            return Failed(request_id, "timeout", "the replica that was to make the change did not confirm it")
        if self._refusal is not None:
            return Failed(request_id, self._refusal.code, self._refusal.text)
        return Failed(request_id, "unavailable", "no replica answered in time that could make the change")
