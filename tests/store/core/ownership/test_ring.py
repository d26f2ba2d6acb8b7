"""The ring against a naive walk of the circle, and what consistent hashing promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.core.ownership.layout import Placement, first_layout
from store.core.ownership.ring import Ring, position

names = st.lists(
    st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=8),
    min_size=1,
    max_size=7,
    unique=True,
)


def walk(nodes: list[str], replication: int, vnodes: int, key: str) -> tuple[str, ...]:
    """Clockwise from the key, the first distinct nodes: the definition, one point at a time."""
    points = sorted((position(f"{node}#{i}"), node) for node in nodes for i in range(vnodes))
    later = [point for point in points if point[0] > position(key)]
    found: list[str] = []
    for _, node in later + points:
        if node not in found:
            found.append(node)
    return tuple(found[:replication])


@given(names, st.data())
def test_preference_lists_are_the_first_distinct_nodes_clockwise(
    nodes: list[str], data: st.DataObject
) -> None:
    vnodes = data.draw(st.integers(1, 6))
    ring = Ring(nodes, vnodes)
    for key in data.draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=5)):
        count = data.draw(st.integers(1, len(nodes) + 1))
        assert ring.preference(key, count) == walk(nodes, count, vnodes, key)


@given(names, st.integers(0, 10**6))
def test_the_order_in_which_nodes_are_named_does_not_matter(nodes: list[str], salt: int) -> None:
    place, reversed_place = (Placement(first_layout(named, 1, 4)) for named in (nodes, nodes[::-1]))
    assert place.digest == reversed_place.digest
    ring, reversed_ring = Ring(nodes, 4), Ring(nodes[::-1], 4)
    for count in (1, 2):
        assert ring.preference(f"k{salt}", count) == reversed_ring.preference(f"k{salt}", count)
        place = Placement(first_layout(nodes, count, 4))
        assert place.replicas(f"k{salt}") == (ring.preference(f"k{salt}", count),)


@given(names, st.integers(1, 3), st.integers(1, 3))
def test_layouts_that_place_keys_differently_have_different_digests(
    nodes: list[str], replication: int, vnodes: int
) -> None:
    digests = {
        Placement(layout).digest
        for layout in [
            first_layout(nodes, replication, vnodes),
            first_layout(nodes, replication + 1, vnodes),
            first_layout(nodes, replication, vnodes + 1),
            first_layout([*nodes, "another one"], replication, vnodes),
        ]
    }
    assert len(digests) == 4


def test_a_new_node_takes_about_its_share_and_nothing_else_moves() -> None:
    nodes = [f"n{i}" for i in range(1, 11)]
    before, after = Ring(nodes), Ring([*nodes, "n11"])
    keys = [f"key-{i}" for i in range(10_000)]
    moved = [key for key in keys if before.preference(key, 1) != after.preference(key, 1)]
    assert all(after.preference(key, 1) == ("n11",) for key in moved)
    assert 0.5 / 11 < len(moved) / len(keys) < 2 / 11


@pytest.mark.parametrize(
    ("nodes", "vnodes", "named"),
    [
        (["a", "a"], 1, "distinct"),
        ([], 1, "at least 1 node"),
        (["a"], 0, "vnodes"),
    ],
)
def test_impossible_rings_are_refused_by_name(nodes: list[str], vnodes: int, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        Ring(nodes, vnodes)
