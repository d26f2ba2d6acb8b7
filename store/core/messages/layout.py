"""Who owns what, as all nodes must agree on it: `store/core/ownership/layout.py` reads it. Tag 8x."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from store.core.messages.base import Natural, NodeName

REPLICATION_MAX: Final = 99
NODES_MAX: Final = 1_000
BUCKETS_MAX: Final = 100

Conflict = Literal["lww", "siblings", "counter", "set", "map"]


class Bucket(Struct, frozen=True, gc=False, array_like=True):
    """The keys that begin with "`name`/" have `n` replicas each (no more than there are nodes), and this way
    of settling concurrent writes at levels other than `linearizable`."""

    name: NodeName
    n: Annotated[int, Meta(ge=1, le=REPLICATION_MAX)]
    conflict: Conflict


class Member(Struct, frozen=True, gc=False, array_like=True):
    """`birth` names one life of the node's data directory: a node that has lost its data is another member.
    0 in the first layout: whichever life enrolled first; in later ones: none, so nobody serves as it."""

    name: NodeName
    birth: Natural = 0


Members = Annotated[tuple[Member, ...], Meta(min_length=1, max_length=NODES_MAX)]


class Layout(Struct, frozen=True, gc=False, array_like=True, tag=80):
    """`owners` keep the data; while ownership moves, `next` are those who will. `epoch` counts layouts; one
    epoch has one layout, which a majority of the `council` of the one before has agreed on."""

    epoch: Annotated[int, Meta(ge=1, le=1 << 62)]
    owners: Members
    replication: Annotated[int, Meta(ge=1, le=REPLICATION_MAX)]
    vnodes: Annotated[int, Meta(ge=1, le=4096)]
    council: Annotated[tuple[NodeName, ...], Meta(min_length=1, max_length=7)]
    next: Members | None = None
    buckets: Annotated[tuple[Bucket, ...], Meta(max_length=BUCKETS_MAX)] = ()
    next_buckets: Annotated[tuple[Bucket, ...], Meta(max_length=BUCKETS_MAX)] | None = None
    """While ownership moves because of a bucket: those that there will be."""
