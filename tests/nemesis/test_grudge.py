from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.base import Grudge
from nemesis.grudge import (
    bisect,
    bridge,
    complete,
    directed,
    from_json,
    majorities_ring,
    one_way,
    split_one,
    split_third,
    to_json,
)

orders = st.integers(min_value=3, max_value=15).flatmap(
    lambda count: st.permutations([f"n{i}" for i in range(count)])
)
NODES = ["a", "b", "c", "d", "e"]


def hears(grudge: Grudge, node: str, source: str) -> bool:
    return source not in grudge.get(node, frozenset())


def seen_by(grudge: Grudge, node: str, nodes: list[str]) -> frozenset[str]:
    return frozenset(other for other in nodes if hears(grudge, node, other))


def is_symmetric(grudge: Grudge, nodes: list[str]) -> bool:
    return all(hears(grudge, a, b) == hears(grudge, b, a) for a in nodes for b in nodes)


@given(orders)
def test_nobody_refuses_itself_and_nobody_is_listed_with_no_grudge(order: list[str]) -> None:
    for grudge in (
        complete(bisect(order)),
        complete(split_one(order)),
        bridge(order),
        majorities_ring(order),
        one_way(order[:2], order),
    ):
        assert grudge
        assert all(node not in refused and refused for node, refused in grudge.items())


def test_halves_of_an_odd_number_have_the_smaller_first() -> None:
    assert bisect(NODES) == (("a", "b"), ("c", "d", "e"))
    assert bisect(NODES[:4]) == (("a", "b"), ("c", "d"))


@given(orders)
def test_complete_components_hear_themselves_only(order: list[str]) -> None:
    components = (tuple(order[:1]), tuple(order[1:2]), tuple(order[2:]))
    grudge = complete(components)
    assert is_symmetric(grudge, order)
    for component in components:
        for node in component:
            assert seen_by(grudge, node, order) == set(component)


def test_a_single_component_is_no_partition() -> None:
    assert complete((tuple(NODES),)) == {}


@given(orders)
def test_one_node_alone_hears_nobody_and_the_others_hear_each_other(order: list[str]) -> None:
    grudge = complete(split_one(order))
    assert seen_by(grudge, order[0], order) == {order[0]}
    assert all(seen_by(grudge, node, order) == set(order[1:]) for node in order[1:])


@given(orders)
def test_a_third_is_less_than_a_third_and_as_many_as_that_allows(order: list[str]) -> None:
    third, rest = split_third(order)
    assert (*third, *rest) == tuple(order)
    assert 3 * len(third) < len(order) <= 3 * (len(third) + 1)


@given(orders, st.data())
def test_directed_links_are_cut_in_their_direction_and_no_others(
    order: list[str], data: st.DataObject
) -> None:
    pairs = [(source, target) for source in order for target in order if source != target]
    cut = data.draw(st.sets(st.sampled_from(pairs)))
    grudge = directed(cut)
    assert {(source, target) for source, target in pairs if not hears(grudge, target, source)} == cut
    assert all(grudge.values())


@given(orders, st.data())
def test_one_way_is_one_way(order: list[str], data: st.DataObject) -> None:
    split = data.draw(st.integers(min_value=1, max_value=len(order) - 1))
    deaf, heard = order[:split], order[split:]
    grudge = one_way(deaf, heard)
    assert all(not hears(grudge, a, b) and hears(grudge, b, a) for a in deaf for b in heard)
    assert all(hears(grudge, a, b) for side in (deaf, heard) for a in side for b in side)


@given(orders)
def test_the_bridge_hears_and_is_heard_by_all_and_the_halves_not_by_each_other(order: list[str]) -> None:
    grudge = bridge(order)
    middle = len(order) // 2
    assert is_symmetric(grudge, order)
    assert seen_by(grudge, order[middle], order) == set(order)
    left, right = order[:middle], order[middle + 1 :]
    assert not any(hears(grudge, a, b) for a in left for b in right)
    assert 0 <= len(left) - len(right) <= 1


@given(orders)
def test_in_the_ring_each_sees_a_majority_of_its_own_and_hardly_more(order: list[str]) -> None:
    grudge = majorities_ring(order)
    seen = [seen_by(grudge, node, order) for node in order]
    majority = len(order) // 2 + 1
    assert is_symmetric(grudge, order)
    assert len(set(seen)) == len(order)
    sizes = sorted(map(len, seen))
    assert sizes[:-1] == [majority] * (len(order) - 1)
    assert sizes[-1] <= majority + 1


def test_the_ring_of_five_is_neighbours() -> None:
    assert to_json(majorities_ring(NODES)) == {
        "a": ["c", "d"],
        "b": ["d", "e"],
        "c": ["a", "e"],
        "d": ["a", "b"],
        "e": ["b", "c"],
    }


@given(st.permutations(NODES))
def test_as_json_and_back(order: list[str]) -> None:
    grudge = bridge(order)
    assert from_json(to_json(grudge)) == grudge
    assert list(to_json(grudge)) == sorted(grudge)
