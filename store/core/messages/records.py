"""What a node keeps under its storage keys. Tags 1 to 9."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import Meta, Struct

from store.core.messages.base import Ballot, ChangeId, Natural, NodeName, Stamp, Value


class Cell(Struct, frozen=True, gc=False, array_like=True, tag=1):
    """A last-write-wins value; `value` None is a tombstone. From `expires_ms` of wall-clock time on (0:
    never) it counts as a tombstone with the same stamp."""

    stamp: Stamp
    value: Value | None
    expires_ms: Natural = 0


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


class Siblings(Struct, frozen=True, gc=False, array_like=True, tag=3):
    """Concurrent values, none of which may be dropped: a dotted version vector set (Almeida, Baquero,
    Gonçalves, Preguiça, Fonte, "Scalable and Accurate Causality Tracking for Eventually Consistent Stores",
    DAIS 2014). For each actor, sorted by name: (actor, events seen, its newest values, newest first). No
    values left is a tombstone; `stamp` is of the latest write, for the tombstone's grace only."""

    stamp: Stamp
    entries: tuple[tuple[NodeName, Natural, tuple[Value, ...]], ...]


class Count(Struct, frozen=True, gc=False, array_like=True, tag=4):
    """A counter that goes up and down (Shapiro, Preguiça, Baquero, Zawirski 2011, "A Comprehensive Study of
    Convergent and Commutative Replicated Data Types", PN-Counter): (actor, sum added, sum taken), sorted by
    actor."""

    entries: tuple[tuple[NodeName, Natural, Natural], ...]


class Elements(Struct, frozen=True, gc=False, array_like=True, tag=5):
    """An add-wins set without tombstones (Bieniusa et al. 2012, "An Optimized Conflict-free Replicated Set"):
    `seen` is a version vector, `dots` the (actor, event) pairs that keep each element in; both sorted."""

    seen: tuple[tuple[NodeName, Natural], ...]
    dots: tuple[tuple[Value, tuple[tuple[NodeName, Natural], ...]], ...]


class Fields(Struct, frozen=True, gc=False, array_like=True, tag=6):
    """A map of last-write-wins registers, sorted by field; a None is a removed field."""

    entries: tuple[tuple[str, Stamp, Value | None], ...]


Datum = Cell | Siblings | Count | Elements | Fields
"""What a replica keeps for a key of any level but `linearizable`; `store/core/data/datum.py` merges them."""


class Hint(Struct, frozen=True, gc=False, array_like=True, tag=7):
    """A write that is kept for another node until that can take it."""

    target: NodeName
    datum: Datum
    kept_ms: Natural
    """Wall-clock time at which it was first kept."""


class Note(Struct, frozen=True, gc=False, array_like=True, tag=8):
    """What one of the node's parts remembers for itself, in its own shape."""

    content: Any


Record = Cell | Acceptor | Siblings | Count | Elements | Fields | Hint | Note
