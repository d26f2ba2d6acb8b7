"""The linearizable level: one CASPaxos register per key, no leader (Rystsov 2018, "CASPaxos").

A change is a function of the state, applied by a proposer between a quorum's promises and its acceptances.
Two additions to the paper, argued in docs/protocols/caspaxos.md:

- *Retrying is exact.* A refused accept may still have been chosen, or be adopted by another proposer;
  applying the change again could make it happen twice. So the state names its latest changes: a proposer that
  finds its own among them only confirms the state. When more changes than are remembered may have passed, it
  admits that it cannot tell.
- *Reads take one round and write nothing*, when a majority has accepted the same ballot: that state is
  chosen, and every change that was complete before the read began is in it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from store.core.messages import (
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
)
from store.core.procedure import Answers, Ask, Coordination, Procedure, Rest, Wish
from store.core.quorum import unavailable, unconfirmed

RECENT_CHANGES = 16
ABSENT = Register(None, 0, ())

BACKOFF_NANOS = 2_000_000
BACKOFF_NANOS_MAX = 64_000_000

Decide = Callable[[bytes | None], tuple[bytes | None] | None]
"""Given the value held (None: absent), the new one in a tuple, or None: the condition does not hold."""


def read(c: Coordination, key: str, need: int) -> Procedure:
    answers = yield Ask(c.replicas, Query(c.next_rid(), key), need)
    states = {answer.accepted: answer.state for answer in answers if isinstance(answer, Queried)}
    if len(answers) >= need and len(states) == 1:
        return Found(c.request_id, _value(next(iter(states.values()))))
    return (yield from _read_with_ballot(c, key, need))


def _read_with_ballot(c: Coordination, key: str, need: int) -> Procedure:
    attempt = 0
    answers: Answers = []
    while not c.late():
        ballot, answers = yield from _prepare(c, key, need)
        if len(answers) >= need:
            accepted, state = _highest(answers)
            if _count(answers, accepted) < need:
                answers = yield from _accept(c, key, need, ballot, state or ABSENT)
            if len(answers) >= need:
                return Found(c.request_id, _value(state))
        attempt += 1
        yield _backoff(c, attempt)
    return unavailable(c, len(answers), need)


def change(c: Coordination, key: str, need: int, decide: Decide) -> Procedure:
    """Write, cas and delete."""
    me: ChangeId = (c.node, c.next_rid())
    oldest_proposed: int | None = None
    attempt = 0
    answers: Answers = []
    while not c.late():
        ballot, answers = yield from _prepare(c, key, need)
        if len(answers) >= need:
            _, state = _highest(answers)
            base = state or ABSENT
            if oldest_proposed is not None and base.version - oldest_proposed >= RECENT_CHANGES:
                return Failed(c.request_id, "contended", f"{RECENT_CHANGES} other changes came in between")
            proposed, response = _apply(c, base, me, decide)
            if proposed is not base:
                oldest_proposed = min(oldest_proposed or proposed.version, proposed.version)
            answers = yield from _accept(c, key, need, ballot, proposed)
            if len(answers) >= need:
                return response
        attempt += 1
        yield _backoff(c, attempt)
    return (
        unavailable(c, len(answers), need) if oldest_proposed is None else unconfirmed(c, len(answers), need)
    )


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


def _prepare(c: Coordination, key: str, need: int) -> Generator[Wish, Answers, tuple[Ballot, Answers]]:
    ballot = (c.ballots.next(), c.node)
    answers = yield Ask(c.replicas, Prepare(c.next_rid(), key, ballot), need)
    return ballot, _agreed(c, answers, Promise)


def _accept(
    c: Coordination, key: str, need: int, ballot: Ballot, state: Register
) -> Generator[Wish, Answers, Answers]:
    answers = yield Ask(c.replicas, Accept(c.next_rid(), key, ballot, state), need)
    return _agreed(c, answers, Accepted)


def _agreed(c: Coordination, answers: Answers, kind: type[Answer]) -> Answers:
    for answer in answers:
        if isinstance(answer, Refused):
            c.ballots.observe(answer.promised[0])
    return [answer for answer in answers if isinstance(answer, kind)]


def _highest(promises: Answers) -> tuple[Ballot, Register | None]:
    highest: tuple[Ballot, Register | None] = (NO_BALLOT, None)
    for promise in promises:
        if isinstance(promise, Promise) and promise.accepted > highest[0]:
            highest = promise.accepted, promise.state
    return highest


def _count(promises: Answers, accepted: Ballot) -> int:
    return sum(isinstance(promise, Promise) and promise.accepted == accepted for promise in promises)


def _backoff(c: Coordination, attempt: int) -> Rest:
    """The first retry is at once: most often the ballot was merely out of date."""
    if attempt == 1:
        return Rest(0)
    return Rest(c.rng.randrange(min(BACKOFF_NANOS << attempt, BACKOFF_NANOS_MAX)))


def _value(state: Register | None) -> bytes | None:
    return None if state is None else state.value
