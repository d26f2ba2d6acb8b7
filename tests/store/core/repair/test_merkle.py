"""Trees tell which leaves differ, exactly, however their contents came about."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from store.core.messages import Cell, Count, Datum
from store.core.messages.repair import FAN_OUT, LEAVES
from store.core.repair.merkle import Forest, digest_of, leaf_of, place

KEYS = [f"k{i}" for i in range(40)]
PEERS = ("b", "c", "d")

keys = st.sampled_from(KEYS)
data = st.one_of(
    st.builds(lambda at, value: Cell((at, 0, "a"), value), st.integers(0, 3), st.sampled_from([None, b"x"])),
    st.builds(lambda by: Count((("a", by, 0),)), st.integers(0, 2)),
)
contents = st.dictionaries(keys, data, max_size=20)
changes = st.lists(st.tuples(keys, st.none() | data), max_size=60)


def sharers(key: str) -> tuple[str, ...]:
    return tuple([peer for i, peer in enumerate(PEERS) if int(key[1:]) % (i + 2)])


def other_sharers(key: str) -> tuple[str, ...]:
    return PEERS[int(key[1:]) % 3 :]


def grown(held: dict[str, Datum], share=sharers) -> Forest:  # type: ignore[no-untyped-def]
    forest = Forest()
    forest.share(share)
    forest.grow(LEAVES)
    for key, datum in held.items():
        forest.put(key, digest_of(key, datum))
    return forest


def all_leaves(forest: Forest, peer: str) -> list[int]:
    return forest.leaves(peer, range(FAN_OUT))


@given(contents, contents)
def test_trees_are_equal_where_contents_are_and_differ_in_exactly_the_other_leaves(
    ours: dict[str, Datum], theirs: dict[str, Datum]
) -> None:
    a, b = grown(ours), grown(theirs)
    for peer in PEERS:
        differing = {
            leaf_of(key) for key in KEYS if ours.get(key) != theirs.get(key) and peer in sharers(key)
        }
        leaves = zip(all_leaves(a, peer), all_leaves(b, peer), strict=True)
        assert {leaf for leaf, (our, their) in enumerate(leaves) if our != their} == differing
        branches = zip(a.branches(peer), b.branches(peer), strict=True)
        found = {branch for branch, (our, their) in enumerate(branches) if our != their}
        assert found == {leaf // FAN_OUT for leaf in differing}


@given(contents, changes)
def test_a_tree_that_was_changed_is_as_one_made_anew(
    held: dict[str, Datum], changes: list[tuple[str, Datum | None]]
) -> None:
    forest = grown(held)
    for key, datum in changes:
        forest.put(key, None if datum is None else digest_of(key, datum))
        if datum is None:
            held.pop(key, None)
        else:
            held[key] = datum
    assert forest.keys == len(held)
    for peer in PEERS:
        assert all_leaves(forest, peer) == all_leaves(grown(held), peer)


@given(contents, changes, st.integers(1, 5))
def test_a_layout_that_changes_under_way_is_followed_from_memory(
    held: dict[str, Datum], changes: list[tuple[str, Datum | None]], step: int
) -> None:
    forest = grown(held)
    forest.share(other_sharers)
    for key, datum in changes:
        forest.grow(step)
        forest.put(key, None if datum is None else digest_of(key, datum))
        if datum is None:
            held.pop(key, None)
        else:
            held[key] = datum
    while not forest.whole:
        forest.grow(step)
    for peer in PEERS:
        assert all_leaves(forest, peer) == all_leaves(grown(held, other_sharers), peer)


@given(contents, st.sampled_from(PEERS), st.integers(1, 4))
def test_a_listing_has_every_shared_key_of_its_leaves_once_page_by_page(
    held: dict[str, Datum], peer: str, limit: int
) -> None:
    forest = grown(held)
    leaves = [leaf_of(key) for key in KEYS[:25]]
    listed: list[tuple[str, int]] = []
    while page := forest.listing(peer, leaves, listed[-1][0] if listed else "", limit):
        assert len(page) <= limit
        listed += page
    expected = [key for key in held if leaf_of(key) in leaves and peer in sharers(key)]
    assert [key for key, _ in listed] == sorted(expected, key=place)
    assert all(digest == digest_of(key, held[key]) for key, digest in listed)


def test_keys_of_a_few_arcs_fill_the_leaves_evenly() -> None:
    """Keys whose hashes begin alike, as those of one arc, do not share leaves for that."""
    counts: dict[int, int] = {}
    for i in range(40_960):
        leaf = leaf_of(f"key {i}")
        counts[leaf] = counts.get(leaf, 0) + 1
    assert len(counts) > 0.999 * LEAVES
    assert max(counts.values()) < 35
