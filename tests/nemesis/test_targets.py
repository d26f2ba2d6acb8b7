from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import Op
from nemesis.targets import SIZES, draw_target, nodes_of, parse_target

FIVE = ("n1", "n2", "n3", "n4", "n5")
seeds = st.integers(min_value=0, max_value=2**64 - 1)


@pytest.mark.parametrize(
    ("target", "sizes"),
    [
        ("one", [1, 1, 1, 1, 1, 1, 1]),
        ("minority", [1, 1, 1, 1, 2, 2, 3]),
        ("majority", [1, 2, 2, 3, 3, 4, 4]),
        ("all", [1, 2, 3, 4, 5, 6, 7]),
    ],
)
def test_how_many_of_one_to_seven_nodes_a_target_is(target: str, sizes: list[int]) -> None:
    assert [SIZES[target](count) for count in range(1, 8)] == sizes


@given(seeds, st.sampled_from(sorted(SIZES)))
def test_a_draw_has_its_size_its_order_and_no_chance_of_its_own(seed: int, size: str) -> None:
    drawn = draw_target((size,), FIVE, seed)
    assert drawn.target == size
    assert len(drawn.nodes) == SIZES[size](5)
    assert drawn.nodes == [node for node in FIVE if node in drawn.nodes]
    assert drawn == draw_target((size,), FIVE, seed)


def test_every_target_and_every_node_comes_up() -> None:
    draws = [draw_target(("one", "minority", "majority"), FIVE, seed) for seed in range(200)]
    assert {draw.target for draw in draws} == {"one", "minority", "majority"}
    assert {tuple(draw.nodes) for draw in draws if draw.target == "one"} == {(node,) for node in FIVE}


def test_named_nodes_are_always_those() -> None:
    allowed = parse_target("kill", "n4+n1", ("one",), FIVE)
    assert {tuple(draw_target(allowed, FIVE, seed).nodes) for seed in range(9)} == {("n1", "n4")}


def test_no_text_is_the_default() -> None:
    assert parse_target("kill", None, ("one", "all"), FIVE) == ("one", "all")


@pytest.mark.parametrize("text", ["", "most", "n1+", "n1+n9", "N1", "n1,n2"])
def test_an_unknown_target_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match=r"^kill:.* one, minority, majority, all, or nodes .* n1, n2, n3"):
        parse_target("kill", text, ("one",), FIVE)


@pytest.mark.parametrize("value", [None, {}, {"nodes": ["n1"]}, {"target": "one", "nodes": "n1"}])
def test_a_recorded_value_that_names_no_nodes_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"Expected|missing"):
        nodes_of(Op(f="kill", value=value))
