"""What clients ask (tags 10 to 24), and what they are answered (25 to 39)."""

from __future__ import annotations

from typing import Annotated, Any, Final

from msgspec import Meta, Struct

from store.core.messages.base import (
    BATCH_MAX,
    TIMEOUT_MS_MAX,
    TTL_MS_MAX,
    Context,
    Key,
    LevelSpec,
    Natural,
    NodeName,
    Prefix,
    Value,
    Where,
)
from store.core.messages.layout import Layout


class Get(Struct, frozen=True, gc=False, array_like=True, tag=10):
    key: Key
    level: LevelSpec


class Put(Struct, frozen=True, gc=False, array_like=True, tag=11):
    """`ttl_ms` 0: it lasts (last-write-wins buckets only). `context`: what the writer had read (buckets with
    siblings only); the write replaces that and nothing else."""

    key: Key
    value: Value
    level: LevelSpec
    ttl_ms: Annotated[int, Meta(ge=0, le=TTL_MS_MAX)] = 0
    context: Context = b""


class Cas(Struct, frozen=True, gc=False, array_like=True, tag=12):
    """Set `key` to `value` if it holds `expect` (None: if it is absent). Linearizable level only."""

    key: Key
    expect: Value | None
    value: Value
    level: LevelSpec


class Delete(Struct, frozen=True, gc=False, array_like=True, tag=13):
    key: Key
    level: LevelSpec
    context: Context = b""


class Status(Struct, frozen=True, gc=False, array_like=True, tag=14):
    """Asks one node what it is, what it sees and what it has done."""


COUNT_MAX: Final = 1 << 52
"""The most that one replica adds to a counter, or takes from it, in all: sums of many stay below 2**63."""


class Increment(Struct, frozen=True, gc=False, array_like=True, tag=16):
    """Adds `by` (of either sign) to a counter."""

    key: Key
    by: Annotated[int, Meta(ge=-COUNT_MAX, le=COUNT_MAX)]
    level: LevelSpec


class ChangeElements(Struct, frozen=True, gc=False, array_like=True, tag=17):
    """Adds elements to a set and removes others; of an element in both, the addition stays."""

    key: Key
    add: Annotated[tuple[Value, ...], Meta(max_length=BATCH_MAX)]
    remove: Annotated[tuple[Value, ...], Meta(max_length=BATCH_MAX)]
    level: LevelSpec


class ChangeFields(Struct, frozen=True, gc=False, array_like=True, tag=18):
    """Sets fields of a map; None removes one."""

    key: Key
    fields: Annotated[dict[str, Value | None], Meta(max_length=BATCH_MAX)]
    level: LevelSpec


class MultiGet(Struct, frozen=True, gc=False, array_like=True, tag=19):
    """Several keys at once, each read as a Get of its own would: no snapshot."""

    keys: Annotated[tuple[Key, ...], Meta(min_length=1, max_length=BATCH_MAX)]
    level: LevelSpec


class Scan(Struct, frozen=True, gc=False, array_like=True, tag=20):
    """Keys that begin with `prefix`, in order, after `after` (empty: from the first), across all shards. Each
    is read at `level`; together they are no snapshot."""

    prefix: Prefix
    after: Prefix
    limit: Annotated[int, Meta(ge=1, le=BATCH_MAX)]
    level: LevelSpec


class Locate(Struct, frozen=True, gc=False, array_like=True, tag=21):
    """Asks for the layout and the nodes' addresses, by which a client finds a coordinator that owns a key."""


class Inspect(Struct, frozen=True, gc=False, array_like=True, tag=23):
    """Asks for each replica's own copy of `key`, as it is: to see whether they have become equal."""

    key: Key


class Admin(Struct, frozen=True, gc=False, array_like=True, tag=22):
    """An operator's wish:

    action   arguments
    join     node, birth, address      a node that has no part yet becomes an owner
    leave    node                      hand over what it owns, then it has no part any more; also a dead one,
                                       or a joiner
    replace  node, by, birth, address  a dead owner's part goes to a node that has none
    bucket   bucket, n, conflict       a new bucket
    repair                             compare and mend now all that the node shares with others, and answer
                                       when done
    scrub                              read now all that the node keeps, and mend what is damaged
    """

    action: Annotated[str, Meta(max_length=32)]
    arguments: Annotated[dict[str, str], Meta(max_length=16)] = {}


KeyBody = Get | Put | Cas | Delete | Increment | ChangeElements | ChangeFields
"""What concerns one key."""
Body = KeyBody | Status | MultiGet | Scan | Locate | Inspect | Admin


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


class Found(Struct, frozen=True, gc=False, array_like=True, tag=25):
    """Answers Get; `value` None: there is none."""

    id: Natural
    value: Value | None


class Done(Struct, frozen=True, gc=False, array_like=True, tag=26):
    """Answers whatever changes something: it took effect, durably, at the level asked for."""

    id: Natural
    detail: str = ""
    """For a person: what came of an Admin."""


class Report(Struct, frozen=True, gc=False, array_like=True, tag=27):
    """Answers Status: values of JSON."""

    id: Natural
    status: dict[str, Any]


class Failed(Struct, frozen=True, gc=False, array_like=True, tag=28):
    """The request was not served; `code` is a key of `DEFINITE`."""

    id: Natural
    code: Annotated[str, Meta(max_length=32)]
    text: Annotated[str, Meta(max_length=1024)]


class FoundSiblings(Struct, frozen=True, gc=False, array_like=True, tag=29):
    """Answers Get in a bucket with siblings: each value once; none: there is none. `context` goes with the
    next write."""

    id: Natural
    values: tuple[Value, ...]
    context: Context


class FoundCount(Struct, frozen=True, gc=False, array_like=True, tag=30):
    id: Natural
    count: int


class FoundElements(Struct, frozen=True, gc=False, array_like=True, tag=31):
    id: Natural
    elements: tuple[Value, ...]


class FoundFields(Struct, frozen=True, gc=False, array_like=True, tag=32):
    id: Natural
    fields: dict[str, Value]


ReadResponse = Found | FoundSiblings | FoundCount | FoundElements | FoundFields | Failed


class FoundMany(Struct, frozen=True, gc=False, array_like=True, tag=33):
    """Answers MultiGet, in the order of its keys; the inner ids mean nothing."""

    id: Natural
    responses: tuple[ReadResponse, ...]


class Scanned(Struct, frozen=True, gc=False, array_like=True, tag=34):
    """Answers Scan. `more`: there are keys after the last of these. `cost`: nodes asked, keys examined,
    messages sent, bytes received."""

    id: Natural
    items: tuple[tuple[Key, ReadResponse], ...]
    more: bool
    cost: dict[str, int]


class FoundCopies(Struct, frozen=True, gc=False, array_like=True, tag=36):
    """Answers Inspect: by replica what it holds; the inner ids mean nothing."""

    id: Natural
    copies: dict[NodeName, ReadResponse]


class Located(Struct, frozen=True, gc=False, array_like=True, tag=35):
    """Answers Locate. `addresses`: where nodes listen, as far as it is known."""

    id: Natural
    layout: Layout
    addresses: dict[NodeName, Where]


Response = (
    Found
    | Done
    | Report
    | Failed
    | FoundSiblings
    | FoundCount
    | FoundElements
    | FoundFields
    | FoundMany
    | Scanned
    | FoundCopies
    | Located
)

DEFINITE: Final[dict[str, bool]] = {
    "mismatch": True,  # cas: the key held something else
    "bad-request": True,  # the request makes no sense; nothing was tried
    "unavailable": True,  # too few replicas answered, and none was asked to change anything
    "overloaded": True,  # refused at the door
    "disk-full": True,  # refused before anything was tried: too few replicas can write
    "too-large": True,  # the key would hold more than a key may; nothing was changed
    "timeout": False,  # too few replicas confirmed in time; the change may surface later
    "contended": False,  # other proposers kept winning, and ours may have won unseen
    "disk": False,  # the coordinator's disk failed under it
}
"""Failure codes, and whether each means that the request certainly had no effect."""
