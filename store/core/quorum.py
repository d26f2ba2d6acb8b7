"""Reads and writes at the levels `one`, `quorum`, `all` and `r=/w=`: last write wins (Dynamo, section 4.5).

Leaves out, for now, everything that repairs replicas that missed a write: they stay behind until the next
write of the key. The preference list is strict: no other node stands in for one that is down.
"""

from __future__ import annotations

from store.core.hlc import newer
from store.core.messages import Cell, Done, Failed, Fetch, Fetched, Found, Store
from store.core.procedure import Ask, Coordination, Procedure


def read(c: Coordination, key: str, reads: int) -> Procedure:
    answers = yield Ask(c.replicas, Fetch(c.next_rid(), key), reads)
    if len(answers) < reads:
        return unavailable(c, len(answers), reads)
    latest: Cell | None = None
    for answer in answers:
        if isinstance(answer, Fetched):
            latest = newer(latest, answer.cell)
    return Found(c.request_id, None if latest is None else latest.value)


def write(c: Coordination, key: str, value: bytes | None, writes: int) -> Procedure:
    """`value` None writes a tombstone."""
    answers = yield Ask(c.replicas, Store(c.next_rid(), key, Cell(c.stamp(), value)), writes)
    if len(answers) < writes:
        return unconfirmed(c, len(answers), writes)
    return Done(c.request_id)


def unavailable(c: Coordination, answered: int, needed: int) -> Failed:
    return Failed(c.request_id, "unavailable", f"{answered} of the {needed} replicas needed answered in time")


def unconfirmed(c: Coordination, answered: int, needed: int) -> Failed:
    return Failed(c.request_id, "timeout", f"{answered} of the {needed} replicas needed confirmed in time")
