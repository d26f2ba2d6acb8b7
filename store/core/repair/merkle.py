"""Hash trees over what a node keeps: one for each node with which it shares keys (Merkle 1987; DeCandia et
al. 2007, Dynamo, section 4.7).

A tree has `FAN_OUT` branches of `FAN_OUT` leaves; a key's leaf comes from the key's hash. Where the textbook
hashes the hashes of children, a tree node here is the *sum*, modulo 2**64, of the digests of the records
below it (Bellare and Micciancio 1997, "A New Paradigm for Collision-Free Hashing", AdHash): a record that
comes, goes or changes costs one addition in each tree that it is in, whatever the size of its leaf, and the
sum over a branch needs no state of its own. Equal sums of different contents come about by chance once in
2**64; on purpose they can be made, so the trees tell damage and delay, not malice.

Memory: a digest for each key, about 200 bytes with the key, and 32 KiB for each tree. In return, the keys of
a leaf are listed without reading the disk, and a new layout costs no reading either.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from msgspec.msgpack import Encoder

from store.core.messages import Datum
from store.core.messages.repair import FAN_OUT, LEAVES
from store.core.ownership.ring import position

_MASK: Final = (1 << 64) - 1
_encode: Final = Encoder().encode

Sharers = Callable[[str], tuple[str, ...]]
"""The other nodes that keep a key."""


def digest_of(key: str, datum: Datum) -> int:
    """64 bits that stand for `key` and what is kept for it, the same on every node."""
    return int.from_bytes(blake2b(_encode((key, datum)), digest_size=8).digest(), "big")


def leaf_of(key: str) -> int:
    """The leaf in which `key` is, in every tree. Of its hash the other end from that which says where it lies
    on the ring, so that the keys of a few arcs still fill all leaves."""
    return position(key) % LEAVES


class Forest:
    """All trees of a node. `sharers` may change at any time (`share`): then the trees are made anew from the
    digests, some leaves at a time (`grow`), and tell nothing until they are `whole`."""

    def __init__(self) -> None:
        self._sharers: Sharers = lambda key: ()
        self._digests: dict[int, dict[str, int]] = {}
        self._trees: dict[str, array[int]] = {}
        self._grown = LEAVES
        self.keys = 0

    @property
    def whole(self) -> bool:
        return self._grown == LEAVES

    def share(self, sharers: Sharers) -> None:
        self._sharers = sharers
        self._trees.clear()
        self._grown = 0

    def grow(self, keys_max: int) -> None:
        """Take up leaves again until `keys_max` keys have been, or all are."""
        keys = 0
        while self._grown < LEAVES and keys < keys_max:
            held = self._digests.get(self._grown, {})
            for key, digest in held.items():
                self._add(self._grown, key, digest)
            keys += len(held)
            self._grown += 1

    def put(self, key: str, digest: int | None) -> None:
        """The key's digest is this now; None: the key is gone."""
        leaf = leaf_of(key)
        held = self._digests.get(leaf)
        if held is None:
            held = self._digests[leaf] = {}
        before = held.pop(key, None) if digest is None else held.get(key)
        if digest is not None:
            held[key] = digest
        self.keys += (digest is not None) - (before is not None)
        if leaf < self._grown:
            self._add(leaf, key, (digest or 0) - (before or 0))

    def digest(self, key: str) -> int | None:
        return self._digests.get(leaf_of(key), {}).get(key)

    def branches(self, peer: str) -> list[int]:
        """What is shared with `peer`, as one digest for each branch."""
        tree = self._trees.get(peer)
        if tree is None:
            return [0] * FAN_OUT
        return [sum(tree[start : start + FAN_OUT]) & _MASK for start in range(0, LEAVES, FAN_OUT)]

    def leaves(self, peer: str, branches: Sequence[int]) -> list[int]:
        """The digests of all leaves of `branches`, one branch after the other."""
        tree = self._trees.get(peer)
        if tree is None:
            return [0] * (len(branches) * FAN_OUT)
        return [digest for branch in branches for digest in tree[branch * FAN_OUT : (branch + 1) * FAN_OUT]]

    def listing(self, peer: str, leaves: Sequence[int], after: str, limit: int) -> list[tuple[str, int]]:
        """The first `limit` keys shared with `peer` in `leaves`, with their digests, that come after the key
        `after` (empty: from the first), in the order of `place`."""
        start = place(after) if after else (-1, "")
        found: list[tuple[str, int]] = []
        for leaf in sorted(set(leaves)):
            held = self._digests.get(leaf, {})
            if leaf < start[0] or not held:
                continue
            keys = sorted(key for key in held if (leaf, key) > start and peer in self._sharers(key))
            found += [(key, held[key]) for key in keys[: limit - len(found)]]
            if len(found) == limit:
                break
        return found

    def _add(self, leaf: int, key: str, difference: int) -> None:
        for peer in self._sharers(key):
            tree = self._trees.get(peer)
            if tree is None:
                tree = self._trees[peer] = array("Q", bytes(8 * LEAVES))
            tree[leaf] = (tree[leaf] + difference) & _MASK


def place(key: str) -> tuple[int, str]:
    """By what keys are ordered in a listing."""
    return leaf_of(key), key
