"""What a layout means: which nodes keep a key, and which buckets there are.

While ownership moves, a key has two preference lists, the owners' and the next owners', and whatever needs a
quorum needs one in each (joint consensus: Ongaro and Ousterhout 2014, section 6).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from msgspec.msgpack import Encoder

from store.core.messages import Bucket, Layout, Member
from store.core.ownership.ring import Ring

COUNCIL_MAX: Final = 5
LISTS_MAX: Final = 10_000
"""Preference lists of so many keys are remembered: one request asks for them again and again."""
_encode: Final = Encoder().encode


def first_layout(
    nodes: Iterable[str], replication: int, vnodes: int = 64, buckets: tuple[Bucket, ...] = ()
) -> Layout:
    """The layout with which a cluster begins, the same on every node that has the same configuration."""
    names = sorted(nodes)
    return Layout(
        epoch=1,
        owners=tuple([Member(name) for name in names]),
        replication=replication,
        vnodes=vnodes,
        council=tuple(names[:COUNCIL_MAX]),
        buckets=tuple(sorted(buckets, key=lambda bucket: bucket.name)),
    )


class Placement:
    """A layout, ready to be asked. `digest` names it: nodes with one epoch and two digests must not talk."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.epoch = layout.epoch
        self.digest = blake2b(_encode(layout), digest_size=8).hexdigest()
        self.buckets = {bucket.name: bucket for bucket in layout.buckets}
        self._next_buckets = {bucket.name: bucket for bucket in layout.next_buckets or layout.buckets}
        self.default = Bucket("default", layout.replication, "lww")
        self.joint = layout.next is not None
        """Ownership moves."""
        self.rings = tuple(
            [
                _ring(tuple([member.name for member in members]), layout.vnodes)
                for members in (layout.owners, layout.next)
                if members is not None
            ]
        )
        self.names = tuple(dict.fromkeys([node for ring in self.rings for node in ring.nodes]))
        """Every node that has a part, now or next."""
        self._lists: dict[str, tuple[tuple[str, ...], ...]] = {}

    def bucket(self, key: str) -> Bucket:
        """The bucket that `key` is in; while buckets change, as it was."""
        return self._in(self.buckets, key)

    def _in(self, buckets: dict[str, Bucket], key: str) -> Bucket:
        if not buckets:
            return self.default
        name, slash, _ = key.partition("/")
        return buckets.get(name, self.default) if slash else self.default

    def replicas(self, key: str) -> tuple[tuple[str, ...], ...]:
        """The preference list of `key`; two while it moves."""
        lists = self._lists.get(key)
        if lists is None:
            if len(self._lists) == LISTS_MAX:
                self._lists.clear()
            lists = self._lists[key] = self._replicas(key)
        return lists

    def _replicas(self, key: str) -> tuple[tuple[str, ...], ...]:
        old = self.rings[0].preference(key, self.bucket(key).n)
        if not self.joint:
            return (old,)
        new = self.rings[1].preference(key, self._in(self._next_buckets, key).n)
        return (old,) if old == new else (old, new)

    def pullers(self, key: str) -> tuple[str, ...]:
        """Which nodes must get `key` from its owners before these may cease to be; none if it stays."""
        lists = self.replicas(key)
        return () if len(lists) == 1 else pullers(*lists)

    def lives(self, name: str) -> tuple[int, ...]:
        """The births under which the layout names the node, as owner and as next owner; none: it has no
        part."""
        return tuple(
            [
                member.birth
                for members in (self.layout.owners, self.layout.next or ())
                for member in members
                if member.name == name
            ]
        )

    def counts(self) -> tuple[tuple[int, int], ...]:
        """Each number of replicas that some key has, before and after the move."""
        names = dict.fromkeys(["", *self.buckets, *self._next_buckets])
        return tuple(
            sorted(
                {
                    (self.buckets.get(name, self.default).n, self._next_buckets.get(name, self.default).n)
                    for name in names
                }
            )
        )


def pullers(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """Who must pull a key that moves from `old` to `new`: the nodes that gain it. If there are to be fewer
    replicas, all of them: what only the others have would be gone."""
    if len(new) < len(old):
        return new
    return tuple([node for node in new if node not in old])


@lru_cache(maxsize=64)
def _ring(nodes: tuple[str, ...], vnodes: int) -> Ring:
    return Ring(nodes, vnodes=vnodes)
