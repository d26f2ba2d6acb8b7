"""The linearizable level: one CASPaxos register per key, no leader (Rystsov 2018, "CASPaxos").

A change is a function of the state, applied by a proposer between a quorum's promises and its acceptances.
Additions to the paper, argued in docs/protocols/caspaxos.md:

- *Retrying is exact.* A refused accept may still have been chosen, or be adopted by another proposer;
  applying the change again could make it happen twice. So the state names its latest changes: a proposer that
  finds its own among them only confirms the state. When more changes than are remembered may have passed, it
  admits that it cannot tell.
- *A stable proposer takes one round*: whoever accepts a ballot also promises its proposer's next one, so that
  the next change of the same key needs no Prepare (section 2.2.1 of the paper).
- *Changes of one key take turns* on one coordinator, instead of outbidding each other's ballots.
- *Reads take one round and write nothing*, when a majority has accepted the same ballot: that state is
  chosen, and every change that was complete before the read began is in it.

One attempt keeps to the placement of one epoch, from its promises to its acceptances.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeVar

from store.core.coordination import Coordination
from store.core.data.quorum import enough, unavailable, unconfirmed
from store.core.messages import (
    DEFINITE,
    NO_BALLOT,
    Accept,
    Accepted,
    Answer,
    Ballot,
    ChangeId,
    Done,
    Failed,
    Found,
    Prepare,
    Promise,
    Queried,
    Query,
    Refused,
    Register,
    Response,
    Unable,
)
from store.core.ownership.layout import Placement
from store.core.procedure import Answers, Ask, Group, Procedure, Rest, Turn, Wish
from store.core.proposer import Quorums, Ready

RECENT_CHANGES = 16
ABSENT = Register(None, 0, ())

BACKOFF_NANOS = 2_000_000
BACKOFF_NANOS_MAX = 64_000_000

PREPARE_NANOS = 250_000_000
PREPARE_NANOS_MAX = 8_000_000_000
"""How long promises are waited for, twice as long at each attempt, before another ballot is prepared: a
message may have been lost, and a ballot is promised only once, so a Prepare is not sent again as it is."""

A = TypeVar("A", bound=Answer)

Decide = Callable[[bytes | None], tuple[bytes | None] | None]
"""Given the value held (None: absent), the new one in a tuple, or None: the condition does not hold."""


Whom = Callable[[], Quorums]


def owners(c: Coordination, key: str) -> Whom:
    """Majorities of those who keep the user's key `key` at the time of asking."""

    def whom() -> Quorums:
        place: Placement | None = c.port.placement
        assert place is not None
        return Quorums(place.epoch, c.groups(place.replicas(key), lambda n: n // 2 + 1))

    return whom


def read(c: Coordination, key: str) -> Procedure[Response]:
    state = yield from read_state(c, key, owners(c, key))
    return state if isinstance(state, Failed) else Found(c.request_id, state.value)


def change(c: Coordination, key: str, decide: Decide) -> Procedure[Response]:
    """Write, cas and delete."""
    return (yield from change_state(c, key, owners(c, key), decide))


def read_state(c: Coordination, key: str, whom: Whom) -> Procedure[Register | Failed]:
    epoch, groups = whom()
    answers = yield Ask(groups, Query(c.port.next_rid(), epoch, key))
    queried = _of(answers, Queried)
    states = {answer.accepted: answer.state for _, answer in queried if isinstance(answer, Queried)}
    if enough(groups, queried) and len(states) == 1:
        return next(iter(states.values())) or ABSENT
    attempt = 0
    while not c.late():
        quorums = whom()
        groups = quorums.groups
        ballot, answers = yield from _prepare(c, key, quorums, attempt)
        promises = _of(answers, Promise)
        if enough(groups, promises):
            accepted, state = _highest(promises)
            if enough(groups, [(peer, answer) for peer, answer in promises if answer.accepted == accepted]):
                return state or ABSENT
            answers = yield from _accept(c, key, quorums, ballot, state or ABSENT, ballot)
            if enough(groups, _of(answers, Accepted)):
                return state or ABSENT
        attempt += 1
        yield _backoff(c, attempt)
    return _unserved(c, groups, answers)


def change_state(c: Coordination, key: str, whom: Whom, decide: Decide) -> Procedure[Response]:
    """`decide` is applied once, or it is said that this is not known."""
    me: ChangeId = (c.port.name, c.port.next_rid())
    yield Turn(key)
    if c.late():
        return Failed(c.request_id, "unavailable", "others were before it until its time was up")
    oldest_proposed: int | None = None
    attempt = 0
    while True:
        quorums = whom()
        groups = quorums.groups
        ready, answers = yield from _make_ready(c, key, quorums, attempt)
        if ready is not None:
            base = ready.state
            if oldest_proposed is not None and base.version - oldest_proposed >= RECENT_CHANGES:
                return Failed(c.request_id, "contended", f"{RECENT_CHANGES} other changes came in between")
            proposed, response = _apply(c, base, me, decide)
            if proposed is not base:
                oldest_proposed = min(oldest_proposed or proposed.version, proposed.version)
            next_ballot = c.proposer.ballot()
            answers = yield from _accept(c, key, quorums, ready.ballot, proposed, next_ballot)
            if enough(groups, _of(answers, Accepted)):
                c.proposer.keep_ready(key, Ready(quorums, next_ballot, proposed))
                return response
        attempt += 1
        yield _backoff(c, attempt)
        if c.late():
            if oldest_proposed is None:
                return _unserved(c, groups, answers)
            return unconfirmed(c, groups, _of(answers, Accepted))


def _make_ready(
    c: Coordination, key: str, quorums: Quorums, attempt: int
) -> Generator[Wish, Answers, tuple[Ready | None, Answers]]:
    """Promises of a quorum, those that are there already or those that are given now; and the answers."""
    ready = c.proposer.take_ready(key, quorums)
    if ready is not None:
        return ready, []
    ballot, answers = yield from _prepare(c, key, quorums, attempt)
    promises = _of(answers, Promise)
    if not enough(quorums.groups, promises):
        return None, answers
    return Ready(quorums, ballot, _highest(promises)[1] or ABSENT), answers


def _apply(c: Coordination, base: Register, me: ChangeId, decide: Decide) -> tuple[Register, Response]:
    """What to propose on top of `base`, and the response once that is chosen. `base` itself is proposed when
    the change is already in it, or does not apply: choosing it again makes either final."""
    if me in base.recent:
        return base, Done(c.request_id)
    decided = decide(base.value)
    if decided is None:
        return base, Failed(c.request_id, "mismatch", "the key holds another value")
    recent = (*base.recent, me)[-RECENT_CHANGES:]
    return Register(decided[0], base.version + 1, recent), Done(c.request_id)


def _prepare(
    c: Coordination, key: str, quorums: Quorums, attempt: int
) -> Generator[Wish, Answers, tuple[Ballot, Answers]]:
    ballot = c.proposer.ballot()
    question = Prepare(c.port.next_rid(), quorums.epoch, key, ballot)
    patience_nanos = min(PREPARE_NANOS << min(attempt, 5), PREPARE_NANOS_MAX)
    answers = yield Ask(quorums.groups, question, patience_nanos=patience_nanos)
    _observe(c, answers)
    return ballot, answers


def _accept(
    c: Coordination, key: str, quorums: Quorums, ballot: Ballot, state: Register, promise: Ballot
) -> Generator[Wish, Answers, Answers]:
    question = Accept(c.port.next_rid(), quorums.epoch, key, ballot, state, promise)
    answers = yield Ask(quorums.groups, question)
    _observe(c, answers)
    return answers


def _observe(c: Coordination, answers: Answers) -> None:
    for _, answer in answers:
        if isinstance(answer, Refused):
            c.proposer.observe(answer.promised)


def _of(answers: Answers, kind: type[A]) -> list[tuple[str, A]]:
    return [(peer, answer) for peer, answer in answers if isinstance(answer, kind)]


def _highest(promises: list[tuple[str, Promise]]) -> tuple[Ballot, Register | None]:
    highest: tuple[Ballot, Register | None] = (NO_BALLOT, None)
    for _, promise in promises:
        if promise.accepted > highest[0]:
            highest = promise.accepted, promise.state
    return highest


def _unserved(c: Coordination, groups: tuple[Group, ...], answers: Answers) -> Failed:
    """Nothing was changed, and why."""
    for peer, unable in _of(answers, Unable):
        code = unable.code if DEFINITE.get(unable.code) else "unavailable"
        return Failed(c.request_id, code, f"{peer} is unable to take part now")
    return unavailable(c, groups, [*_of(answers, Promise), *_of(answers, Queried)])


def _backoff(c: Coordination, attempt: int) -> Rest:
    """The first retry is at once: most often the ballot was merely out of date."""
    if attempt == 1:
        return Rest(0)
    return Rest(c.port.rng.randrange(min(BACKOFF_NANOS << attempt, BACKOFF_NANOS_MAX)))
