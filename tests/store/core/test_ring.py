"""The ring against a naive walk of the circle, and what consistent hashing promises."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.core.ring import Ring, position

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
    replication = data.draw(st.integers(1, len(nodes)))
    vnodes = data.draw(st.integers(1, 6))
    ring = Ring(nodes, replication, vnodes)
    for key in data.draw(st.lists(st.text(min_size=1, max_size=5), min_size=1, max_size=5)):
        assert ring.preference(key) == walk(nodes, replication, vnodes, key)


@given(names, st.integers(0, 10**6))
def test_the_order_in_which_nodes_are_named_does_not_matter(nodes: list[str], salt: int) -> None:
    ring, reversed_ring = Ring(nodes, 1, 4), Ring(nodes[::-1], 1, 4)
    assert ring.digest == reversed_ring.digest
    assert ring.preference(f"k{salt}") == reversed_ring.preference(f"k{salt}")


def test_a_new_node_takes_about_its_share_and_nothing_else_moves() -> None:
    nodes = [f"n{i}" for i in range(1, 11)]
    before, after = Ring(nodes, 1), Ring([*nodes, "n11"], 1)
    keys = [f"key-{i}" for i in range(10_000)]
    moved = [key for key in keys if before.preference(key) != after.preference(key)]
    assert all(after.preference(key) == ("n11",) for key in moved)
    assert 0.5 / 11 < len(moved) / len(keys) < 2 / 11


@pytest.mark.parametrize(
    ("nodes", "replication", "vnodes", "named"),
    [
        (["a", "a"], 1, 1, "distinct"),
        (["a"], 2, 1, "replication must be 1 to 1"),
        (["a"], 0, 1, "replication"),
        (["a"], 1, 0, "vnodes"),
    ],
)
def test_impossible_rings_are_refused_by_name(
    nodes: list[str], replication: int, vnodes: int, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        Ring(nodes, replication, vnodes)
