"""What coordinators ask replicas (tags 40 to 54), and are answered (55 to 69). A question and its answer
share a `rid`; a question names the `epoch` of the layout by which it was addressed, and a replica of another
epoch answers `Stale` and does nothing."""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, Struct

from store.core.messages.base import BATCH_MAX, Ballot, Context, Key, Natural, Prefix, Value
from store.core.messages.records import Datum, Register
from store.core.messages.repair import (
    Compare,
    Compared,
    Itemize,
    Itemized,
    Mend,
    Mended,
    Obtain,
    Obtained,
    RepairAnswer,
    RepairQuestion,
    Settle,
    Settled,
)
from store.core.messages.transfer import Pull, Pulled


class Fetch(Struct, frozen=True, gc=False, array_like=True, tag=40):
    rid: Natural
    epoch: Natural
    key: Key


class Fetched(Struct, frozen=True, gc=False, array_like=True, tag=55):
    rid: Natural
    datum: Datum | None


class Store(Struct, frozen=True, gc=False, array_like=True, tag=41):
    """Merge `datum` into what is kept. `target` not empty: the asked node is not a replica and keeps it as a
    hint for `target`. `bytes_max` not 0: it is a client's write, refused if what is kept would be of another
    kind, or grow beyond so many bytes."""

    rid: Natural
    epoch: Natural
    key: Key
    datum: Datum
    target: Annotated[str, Meta(max_length=64)] = ""
    bytes_max: Natural = 0


class Stored(Struct, frozen=True, gc=False, array_like=True, tag=56):
    rid: Natural


class Assign(Struct, frozen=True, gc=False, array_like=True, tag=45):
    """Replace what `context` covers by `value` (None: by nothing); for siblings."""

    context: Context
    value: Value | None


class Add(Struct, frozen=True, gc=False, array_like=True, tag=46):
    """For counters; of either sign."""

    by: int


class AddRemove(Struct, frozen=True, gc=False, array_like=True, tag=47):
    """For sets; removes what the replica has seen of an element. One in both stays."""

    add: Annotated[tuple[Value, ...], Meta(max_length=BATCH_MAX)]
    remove: Annotated[tuple[Value, ...], Meta(max_length=BATCH_MAX)]


Edit = Assign | Add | AddRemove
"""A change that only a replica can make, because its effect depends on what that replica holds and is counted
in that replica's own events."""


class Update(Struct, frozen=True, gc=False, array_like=True, tag=42):
    """Make one edit on what the asked replica keeps, with `seen` merged into it first. It is answered by what
    the replica then holds, which the coordinator gives to the others.

    Asked twice with one `rid` in one `session`, it is done once. A session lives no longer than the replica's
    process; in one that the replica does not know, it does nothing, and answers with a new `Session`."""

    rid: Natural
    epoch: Natural
    key: Key
    edit: Edit
    session: Natural
    seen: Datum | None
    bytes_max: Natural


class Updated(Struct, frozen=True, gc=False, array_like=True, tag=57):
    rid: Natural
    datum: Datum


class Session(Struct, frozen=True, gc=False, array_like=True, tag=66):
    """Nothing was done for this question; whoever asks again may do so in `session`."""

    rid: Natural
    session: Natural


class List(Struct, frozen=True, gc=False, array_like=True, tag=43):
    """Which keys does the node keep that begin with `prefix`, after `after`? `linearizable`: of which
    family."""

    rid: Natural
    epoch: Natural
    prefix: Prefix
    after: Prefix
    limit: Annotated[int, Meta(ge=1, le=BATCH_MAX)]
    linearizable: bool


class Listed(Struct, frozen=True, gc=False, array_like=True, tag=58):
    """`keys` in order; `more`: there are keys after the last of these."""

    rid: Natural
    keys: Annotated[tuple[Key, ...], Meta(max_length=BATCH_MAX)]
    more: bool
    examined: Natural


class Query(Struct, frozen=True, gc=False, array_like=True, tag=48):
    """Asks an acceptor what it has accepted, promising nothing."""

    rid: Natural
    epoch: Natural
    key: Key


class Queried(Struct, frozen=True, gc=False, array_like=True, tag=59):
    rid: Natural
    accepted: Ballot
    state: Register | None


class Prepare(Struct, frozen=True, gc=False, array_like=True, tag=49):
    rid: Natural
    epoch: Natural
    key: Key
    ballot: Ballot


class Promise(Struct, frozen=True, gc=False, array_like=True, tag=60):
    rid: Natural
    accepted: Ballot
    state: Register | None


class Accept(Struct, frozen=True, gc=False, array_like=True, tag=50):
    """`promise` not below `ballot`: whoever accepts also promises that ballot, so that the same proposer's
    next change needs no Prepare (Rystsov 2018, section 2.2.1, "one-round-trip optimization")."""

    rid: Natural
    epoch: Natural
    key: Key
    ballot: Ballot
    state: Register
    promise: Ballot


class Accepted(Struct, frozen=True, gc=False, array_like=True, tag=61):
    rid: Natural


class Refused(Struct, frozen=True, gc=False, array_like=True, tag=62):
    """An acceptor has promised (or accepted) `promised`, which is at least the ballot that was sent."""

    rid: Natural
    promised: Ballot


class Stale(Struct, frozen=True, gc=False, array_like=True, tag=63):
    """The asked node is of `epoch`, and does nothing for a question of another. Of the same epoch: it has no
    part in it."""

    rid: Natural
    epoch: Natural


class Unable(Struct, frozen=True, gc=False, array_like=True, tag=64):
    """The asked node cannot do that now, and has not done it; `code` is a definite one of `DEFINITE`, as
    `overloaded` and `disk-full`; `text` says more, if there is more to say."""

    rid: Natural
    code: Annotated[str, Meta(max_length=32)]
    text: Annotated[str, Meta(max_length=300)] = ""


Question = Fetch | Store | Update | List | Query | Prepare | Accept | Pull | RepairQuestion
Answer = (
    Fetched
    | Stored
    | Updated
    | Session
    | Listed
    | Queried
    | Promise
    | Accepted
    | Refused
    | Stale
    | Unable
    | Pulled
    | RepairAnswer
)

ANSWERED_BY: Final[dict[type, type[Answer]]] = {
    Fetch: Fetched,
    Store: Stored,
    Update: Updated,
    List: Listed,
    Query: Queried,
    Prepare: Promise,
    Accept: Accepted,
    Pull: Pulled,
    Compare: Compared,
    Itemize: Itemized,
    Obtain: Obtained,
    Mend: Mended,
    Settle: Settled,
}
"""What answers each question; `Refused` may answer Prepare and Accept instead, `Session` an Update, `Stale`
and `Unable` any."""

AGAIN: Final = frozenset(
    {Fetch, Store, Update, List, Query, Pull, Accept, Compare, Itemize, Obtain, Mend, Settle}
)
"""Questions that may be sent again as they are, if no answer comes: twice is as once. Not Prepare: a ballot
is promised only once."""
