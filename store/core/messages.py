"""Every message of the store, as typed values; `store/wire.py` puts them on the wire.

Three families: what clients ask (`Request`) and are answered (`Response`), what coordinators ask replicas
(`PeerMessage`), and what a replica keeps (`Record`). Limits on sizes are part of the types, so decoding
refuses what exceeds them.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

KEY_BYTES_MAX: Final = 1024
VALUE_BYTES_MAX: Final = 1 << 20
NAME_CHARS_MAX: Final = 64
TIMEOUT_MS_MAX: Final = 3_600_000

Key = Annotated[str, Meta(min_length=1, max_length=KEY_BYTES_MAX)]
Value = Annotated[bytes, Meta(max_length=VALUE_BYTES_MAX)]
NodeName = Annotated[str, Meta(min_length=1, max_length=NAME_CHARS_MAX)]
LevelSpec = Annotated[str, Meta(max_length=32)]
Natural = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]

Ballot = tuple[Natural, NodeName]
"""(counter, proposer), ordered; `NO_BALLOT` is below every ballot that a proposer uses."""
NO_BALLOT: Final[tuple[int, str]] = (0, "-")

Stamp = tuple[Natural, Natural, NodeName]
"""A hybrid logical clock's reading: (wall clock in microseconds, logical counter, node)."""

ChangeId = tuple[NodeName, Natural]
"""Names one change for ever: (coordinator, request number unique over the coordinator's restarts)."""


# What a replica keeps ------------------------------------------------------------------------------


class Cell(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """A last-write-wins value; `value` None is a tombstone."""

    stamp: Stamp
    value: Value | None


class Register(Struct, frozen=True, gc=False, array_like=True):
    """A linearizable key's state: `value` None is "absent"; `version` counts changes; `recent` names the
    latest changes, newest last, so that a proposer can tell whether its own was among them."""

    value: Value | None
    version: Natural
    recent: Annotated[tuple[ChangeId, ...], Meta(max_length=64)]


class Acceptor(Struct, frozen=True, gc=False, array_like=True, tag=2):
    """A CASPaxos acceptor's durable state for one key (Rystsov 2018, section 2.2)."""

    promised: Ballot
    accepted: Ballot
    state: Register | None


Record = Cell | Acceptor


# What clients ask, and what they are answered ------------------------------------------------------


class Get(Struct, frozen=True, gc=False, array_like=True, tag=10):
    key: Key
    level: LevelSpec


class Put(Struct, frozen=True, gc=False, array_like=True, tag=11):
    key: Key
    value: Value
    level: LevelSpec


class Cas(Struct, frozen=True, gc=False, array_like=True, tag=12):
    """Set `key` to `value` if it holds `expect` (None: if it is absent). Linearizable level only."""

    key: Key
    expect: Value | None
    value: Value
    level: LevelSpec


class Delete(Struct, frozen=True, gc=False, array_like=True, tag=13):
    key: Key
    level: LevelSpec


class Status(Struct, frozen=True, gc=False, array_like=True, tag=14):
    """Asks one node what it is and what it has done."""


Body = Get | Put | Cas | Delete | Status


class Request(Struct, frozen=True, gc=False, array_like=True, tag=15):
    """`id` is the client's own number for it, unique on its connection; `timeout_ms` is how long the
    coordinator may try."""

    id: Natural
    timeout_ms: Annotated[int, Meta(ge=1, le=TIMEOUT_MS_MAX)]
    body: Body


RETURN_S: Final = 0.05


def coordinators_ms(timeout_s: float) -> int:
    """A request's `timeout_ms` for a client that waits `timeout_s`: a little less (half of a very short
    time), so that the coordinator's answer still arrives, and at most `TIMEOUT_MS_MAX`."""
    return max(1, int(min(1000 * (timeout_s - min(RETURN_S, timeout_s / 2)), TIMEOUT_MS_MAX)))


class Found(Struct, frozen=True, gc=False, array_like=True, tag=20):
    """Answers Get; `value` None: there is none."""

    id: Natural
    value: Value | None


class Done(Struct, frozen=True, gc=False, array_like=True, tag=21):
    """Answers Put, Cas and Delete: it took effect, durably, at the level asked for."""

    id: Natural


class Report(Struct, frozen=True, gc=False, array_like=True, tag=22):
    """Answers Status."""

    id: Natural
    status: dict[str, str | int | list[str]]


class Failed(Struct, frozen=True, gc=False, array_like=True, tag=23):
    """The request was not served; `code` is a key of `DEFINITE`."""

    id: Natural
    code: Annotated[str, Meta(max_length=32)]
    text: Annotated[str, Meta(max_length=1024)]


Response = Found | Done | Report | Failed

DEFINITE: Final[dict[str, bool]] = {
    "mismatch": True,  # cas: the key held something else
    "bad-request": True,  # the request makes no sense; nothing was tried
    "unavailable": True,  # too few replicas answered, and none was asked to change anything
    "overloaded": True,  # refused at the door
    "timeout": False,  # too few replicas confirmed in time; the change may surface later
    "contended": False,  # other proposers kept winning, and ours may have won unseen
    "disk": False,  # the coordinator's disk failed under it
}
"""Failure codes, and whether each means that the request certainly had no effect."""


# What coordinators ask replicas: each request and its answer share a `rid` --------------------------


class Fetch(Struct, frozen=True, gc=False, array_like=True, tag=30):
    rid: Natural
    key: Key


class Fetched(Struct, frozen=True, gc=False, array_like=True, tag=31):
    rid: Natural
    cell: Cell | None


class Store(Struct, frozen=True, gc=False, array_like=True, tag=32):
    rid: Natural
    key: Key
    cell: Cell


class Stored(Struct, frozen=True, gc=False, array_like=True, tag=33):
    rid: Natural


class Query(Struct, frozen=True, gc=False, array_like=True, tag=34):
    """Asks an acceptor what it has accepted, promising nothing."""

    rid: Natural
    key: Key


class Queried(Struct, frozen=True, gc=False, array_like=True, tag=35):
    rid: Natural
    accepted: Ballot
    state: Register | None


class Prepare(Struct, frozen=True, gc=False, array_like=True, tag=36):
    rid: Natural
    key: Key
    ballot: Ballot


class Promise(Struct, frozen=True, gc=False, array_like=True, tag=37):
    rid: Natural
    accepted: Ballot
    state: Register | None


class Accept(Struct, frozen=True, gc=False, array_like=True, tag=38):
    rid: Natural
    key: Key
    ballot: Ballot
    state: Register


class Accepted(Struct, frozen=True, gc=False, array_like=True, tag=39):
    rid: Natural


class Refused(Struct, frozen=True, gc=False, array_like=True, tag=40):
    """An acceptor has promised (or accepted) `promised`, which is at least the ballot that was sent."""

    rid: Natural
    promised: Ballot


Question = Fetch | Store | Query | Prepare | Accept
Answer = Fetched | Stored | Queried | Promise | Accepted | Refused
PeerMessage = Question | Answer

ANSWERED_BY: Final[dict[type, type[Answer]]] = {
    Fetch: Fetched,
    Store: Stored,
    Query: Queried,
    Prepare: Promise,
    Accept: Accepted,
}
"""What answers each question; `Refused` may answer the last two instead."""


# The first frame of every connection -----------------------------------------------------------------


class HelloPeer(Struct, frozen=True, gc=False, array_like=True, tag=50):
    """`ring` is the sender's ring digest: nodes that place keys differently must not talk."""

    cluster: NodeName
    node: NodeName
    ring: Annotated[str, Meta(max_length=64)]


class HelloClient(Struct, frozen=True, gc=False, array_like=True, tag=51):
    cluster: NodeName


Hello = HelloPeer | HelloClient
