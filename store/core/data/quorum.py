"""Reads and writes at every level but `linearizable` (DeCandia et al. 2007, Dynamo, sections 4.5 and 4.6).

A write goes to all replicas and is answered when W have it durably; a read asks all and is answered when R
have told. After the answer each sees to the others: a read mends replicas that are behind (read repair), a
write leaves a hint for replicas that stay silent. While keys move, all of this is so in both lists.

At a sloppy level the next healthy nodes of the ring stand in for replicas that are believed dead, or have not
answered for a while. Left out: digests instead of values (each replica sends all that it keeps), and asking
fewer replicas than there are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from store.core.coordination import Coordination
from store.core.data.datum import dead_since_ms, merge
from store.core.data.levels import LevelError, parse_level
from store.core.messages import (
    Datum,
    Done,
    Failed,
    Fetch,
    Fetched,
    Question,
    Response,
    Stale,
    Store,
    Stored,
    Unable,
)
from store.core.ownership.layout import Placement
from store.core.port import Port
from store.core.procedure import Answers, Ask, Group, Linger, Procedure, Respond, Rest, Tell
from store.core.replica import HintStore

FALLOVER_NANOS: Final = 100_000_000
"""A replica that has been silent for so long gets a stand-in, where that is allowed."""
HINT_NANOS: Final = 500_000_000
"""How long after the answer to a write its other replicas have, until a hint is kept for them."""
REPAIR_NANOS: Final = 100_000_000
"""How long after the answer to a read the other replicas have to tell what they keep."""
DECLINE_NANOS: Final = 20_000_000
"""How long the other replicas have to decline too, so that a failure is definite."""
RETRY_NANOS: Final = 5_000_000
RETRY_NANOS_MAX: Final = 160_000_000

Agreed = Sequence[tuple[str, object]]


class Aim(NamedTuple):
    """Whom to ask about a key: `groups` to be agreed in, among them stand-ins, each with the replica for
    which it stands; `replicas`: all that keep the key."""

    groups: tuple[Group, ...]
    replicas: tuple[str, ...]
    stands_for: dict[str, str]


class Gathered(NamedTuple):
    """What R replicas (or more) told of a key, and what that is together."""

    place: Placement
    replicas: tuple[str, ...]
    answers: list[tuple[str, Fetched]]
    datum: Datum | None


# Whom to ask ---------------------------------------------------------------------------------------------


def aim(
    port: Port, place: Placement, key: str, level: str, writes: bool, silent: Collection[str] = ()
) -> Aim:
    """`silent` have been asked in vain; at a sloppy level they are asked still, and so are stand-ins."""
    lists = place.replicas(key)
    replicas = lists[0] if len(lists) == 1 else _union(lists)
    if level.endswith("sloppy") and (silent or not all(port.alive(peer) for peer in replicas)):
        return _sloppy_aim(port, place, key, level, writes, silent)
    groups = tuple([Group(peers, need(level, len(peers), writes)) for peers in lists])
    return Aim(groups, replicas, {})


def need(level: str, n: int, writes: bool) -> int:
    """How many of `n` replicas; all of them, if by now there are fewer than the level asks for."""
    try:
        counts = parse_level(level, n)
    except LevelError:
        return n
    return counts.writes if writes else counts.reads


def _sloppy_aim(
    port: Port, place: Placement, key: str, level: str, writes: bool, silent: Collection[str]
) -> Aim:
    count = place.bucket(key).n
    lists = [ring.preference(key, count) for ring in place.rings]
    replicas = _union(lists)
    stands_for: dict[str, str] = {}
    groups = []
    for ring, peers in zip(place.rings, lists, strict=True):
        asked = [peer for peer in peers if port.alive(peer)]
        absent = [peer for peer in peers if peer in silent or not port.alive(peer)]
        others = ring.successors(ring.arc(key), len(ring.nodes))[len(peers) :]
        healthy = [
            peer for peer in others if port.alive(peer) and peer not in silent and peer not in replicas
        ]
        for target, stand_in in zip(absent, healthy, strict=False):
            stands_for.setdefault(stand_in, target)
            asked.append(stand_in)
        group = Group(tuple(asked), need(level, len(peers), writes))
        if group not in groups:
            groups.append(group)
    return Aim(tuple(groups), replicas, stands_for)


def _union(lists: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([peer for peers in lists for peer in peers]))


# Reading -------------------------------------------------------------------------------------------------


def gather(c: Coordination, key: str, level: str) -> Procedure[Gathered | Failed]:
    """What R replicas keep for `key`."""
    silent: Collection[str] = ()
    patience = FALLOVER_NANOS if level.endswith("sloppy") else 0
    attempt = 0
    while True:
        place = c.port.placement
        assert place is not None
        groups, replicas, _ = aim(c.port, place, key, level, False, silent)
        answers: Answers = yield Ask(groups, Fetch(c.port.next_rid(), place.epoch, key), {}, patience)
        fetched = [(peer, answer) for peer, answer in answers if type(answer) is Fetched]
        if enough(groups, fetched):
            return Gathered(place, replicas, fetched, together(None, fetched))
        if c.late():
            return unavailable(c, groups, fetched)
        silent = unanswered(groups, answers)
        attempt += 1
        if answers:
            yield pause(attempt)


def together(datum: Datum | None, fetched: list[tuple[str, Fetched]]) -> Datum | None:
    for _, answer in fetched:
        if answer.datum is not None:
            datum = merge(datum, answer.datum)
    return datum


def repair(c: Coordination, key: str, gathered: Gathered, datum: Datum) -> Procedure[None]:
    """Send `datum`, which is all that was `gathered`, to replicas that told less. Not a tombstone to those
    that keep nothing: they may have forgotten it, everybody having had it."""
    port = c.port
    dead = dead_since_ms(datum, port.wall // 1_000_000) is not None
    behind = [
        peer
        for peer, answer in gathered.answers
        if answer.datum != datum and peer in gathered.replicas and not (dead and answer.datum is None)
    ]
    if behind:
        port.happened("read-repair", key=key, replicas=behind)
        yield Tell(tuple(behind), Store(port.next_rid(), gathered.place.epoch, key, datum))


def linger_and_repair(c: Coordination, key: str, gathered: Gathered) -> Procedure[None]:
    """After the answer: hear the other replicas too, and mend those that are behind."""
    more: Answers = yield Linger(REPAIR_NANOS)
    fetched = [(peer, answer) for peer, answer in more if type(answer) is Fetched]
    datum = together(gathered.datum, fetched)
    if datum is not None:
        heard = gathered._replace(answers=gathered.answers + fetched)
        yield from repair(c, key, heard, datum)


# Writing -------------------------------------------------------------------------------------------------


def write(
    c: Coordination,
    hints: HintStore,
    key: str,
    level: str,
    datum: Datum,
    bytes_max: int = 0,
    holder: str | None = None,
) -> Procedure[Response]:
    """Give `datum` to the replicas of `key`; `holder` has it already. `bytes_max` as in `Store`."""
    writing = _Write(c, key, level, datum, bytes_max, holder)
    failed = yield from writing.until_enough()
    if failed is not None:
        return failed
    done = Done(c.request_id)
    yield Respond(done)
    yield from writing.linger()
    for peer in writing.missing():
        hints.keep(peer, key, datum)
    return done


class _Write:
    """One write under way. `has`: the nodes that have it durably; `absent`: those that at a sloppy level get
    stand-ins; `maybe`: it may surface, even if it is not confirmed."""

    def __init__(
        self, c: Coordination, key: str, level: str, datum: Datum, bytes_max: int, holder: str | None
    ) -> None:
        self._c = c
        self._key = key
        self._level = level
        self._datum = datum
        self._bytes_max = bytes_max
        self._has: dict[str, None] = {} if holder is None else {holder: None}
        self._maybe = holder is not None
        self._rid = c.port.next_rid()
        self._sloppy = level.endswith("sloppy")
        self._absent: list[str] = []
        self._asked = False

    def until_enough(self) -> Procedure[Failed | None]:
        """None: as many have it as the level asks for."""
        patience = FALLOVER_NANOS if self._sloppy else 0
        attempt = 0
        while True:
            self._aim()
            if self._has and self._enough(self._has):
                return None
            if self._c.late():
                return self._given_up()
            asked = self._still_to_agree()
            answers: Answers = yield Ask(asked, self._question(), self._to_stand_ins(), patience)
            self._asked = True
            self._hear(answers)
            if self._enough(self._has):
                return None
            if any(type(answer) is Unable for _, answer in answers):
                more: Answers = yield Linger(DECLINE_NANOS)
                self._hear(more)
                answers = answers + more
            if any(type(answer) in (Unable, Stale) for _, answer in answers):
                self._rid = self._c.port.next_rid()  # what was declined once is declined for ever
            ended = self._ended(asked, answers)
            if ended is not None:
                return ended
            attempt += 1
            if answers:
                yield pause(attempt)

    def linger(self) -> Procedure[None]:
        """After the answer: let the other replicas have it, too."""
        missing = self.missing()
        if not missing:
            return
        if not self._asked:
            self._hear((yield Ask((Group(missing, len(missing)),), self._question(), {}, HINT_NANOS)))
        elif any(self._c.port.alive(peer) for peer in missing):
            self._hear((yield Linger(HINT_NANOS)))

    def missing(self) -> tuple[str, ...]:
        """Replicas that have not confirmed, and for which no stand-in has."""
        covered = [self._stands_for[peer] for peer in self._has if peer in self._stands_for]
        return tuple([peer for peer in self._replicas if peer not in self._has and peer not in covered])

    def _aim(self) -> None:
        place = self._c.port.placement
        assert place is not None
        self._epoch = place.epoch
        self._groups, self._replicas, self._stands_for = aim(
            self._c.port, place, self._key, self._level, True, self._absent
        )

    def _question(self, target: str = "") -> Store:
        return Store(self._rid, self._epoch, self._key, self._datum, target, self._bytes_max)

    def _to_stand_ins(self) -> dict[str, Question]:
        return {peer: self._question(target) for peer, target in self._stands_for.items()}

    def _still_to_agree(self) -> tuple[Group, ...]:
        if not self._has:
            return self._groups
        return tuple(
            [
                Group(left, count - (len(peers) - len(left)))
                for peers, count in self._groups
                for left in [tuple([peer for peer in peers if peer not in self._has])]
            ]
        )

    def _hear(self, answers: Answers) -> None:
        self._has |= {peer: None for peer, answer in answers if type(answer) is Stored}

    def _enough(self, peers: Collection[str]) -> bool:
        return enough(self._groups, [(peer, None) for peer in peers])

    def _ended(self, asked: tuple[Group, ...], answers: Answers) -> Failed | None:
        """How it ends, if it is not to be tried again. Definite only if each that was asked has declined."""
        silent = unanswered(asked, answers)
        self._maybe = self._maybe or bool(silent) or bool(self._has)
        if self._c.late():
            return self._given_up()
        declined = {peer: answer for peer, answer in answers if type(answer) is Unable}
        before, self._absent = self._absent, sorted({*silent, *declined})
        if self._sloppy and self._absent != before:
            return None  # others may stand in
        stale = any(type(answer) is Stale for _, answer in answers)
        if not declined or stale or self._enough([*self._has, *silent]):
            return None
        if self._maybe:
            said = ", ".join(sorted({answer.code for answer in declined.values()}))
            return self._given_up(f"; replicas said: {said}")
        first = next(iter(declined.values()))
        return Failed(self._c.request_id, first.code, first.text)

    def _given_up(self, why: str = "") -> Failed:
        if not self._maybe:
            text = "no replica took it in time: all that were asked refused, or do not serve by this layout"
            return Failed(self._c.request_id, "unavailable", text)
        return unconfirmed(self._c, self._groups, [(peer, None) for peer in self._has], why)


# Counting ------------------------------------------------------------------------------------------------


def enough(groups: tuple[Group, ...], agreed: Agreed) -> bool:
    """Whether each group has what it needs."""
    if len(groups) == 1 and len(agreed) < groups[0].need:
        return False
    return all(count >= need for count, need in _counts(groups, agreed))


def unanswered(groups: tuple[Group, ...], answers: Agreed) -> list[str]:
    answered = [peer for peer, _ in answers]
    return [peer for group in groups for peer in group.peers if peer not in answered]


def pause(attempt: int) -> Rest:
    return Rest(min(RETRY_NANOS << attempt, RETRY_NANOS_MAX))


def unavailable(c: Coordination, groups: tuple[Group, ...], agreed: Agreed) -> Failed:
    count, need = _worst(groups, agreed)
    return Failed(c.request_id, "unavailable", f"{count} of the {need} replicas needed answered in time")


def unconfirmed(c: Coordination, groups: tuple[Group, ...], agreed: Agreed, why: str = "") -> Failed:
    count, need = _worst(groups, agreed)
    text = f"{count} of the {need} replicas needed confirmed in time{why}"
    return Failed(c.request_id, "timeout", text)


def _counts(groups: tuple[Group, ...], agreed: Agreed) -> list[tuple[int, int]]:
    return [(sum([peer in peers for peer, _ in agreed]), need) for peers, need in groups]


def _worst(groups: tuple[Group, ...], agreed: Agreed) -> tuple[int, int]:
    return min(_counts(groups, agreed), key=lambda pair: pair[0] - pair[1], default=(0, 0))
