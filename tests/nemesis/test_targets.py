from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import msgspec
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from checkers.history import Op
from harness.cluster.base import Cluster, ClusterError
from nemesis.base import nemesis_op
from nemesis.compose import parse_faults
from nemesis.targets import (
    SIZES,
    ByRoles,
    Target,
    aimed,
    check_roles,
    draw_injection,
    draw_target,
    nodes_of,
    parse_target,
    roles_of,
)

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


class Bare:
    name = "bare"
    nodes = FIVE


class Telling(Bare):
    """A cluster that tells who has which role, one after the other as if it changed each time."""

    name = "telling"
    role_names = ("primary", "spare")

    def __init__(self, *told: Mapping[str, tuple[str, ...]]) -> None:
        self.told = list(told)

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        return self.told.pop(0)


def aim(op: Op, cluster: object, spec: str = "kill:primary") -> Op:
    (fault,) = parse_faults([spec], FIVE)
    assert isinstance(fault, ByRoles)
    return trio.run(aimed, fault, op, cast(Cluster, cluster))


def injection(spec: str, seed: int, f: str) -> Op:
    """As the fault's schedule would draw it."""
    (fault,) = parse_faults([spec], FIVE)
    assert isinstance(fault, ByRoles)
    return draw_injection(fault, f, sorted(fault.roles), FIVE, seed)


def test_what_is_neither_a_size_nor_nodes_may_be_a_role() -> None:
    assert parse_target("kill", "primary", (), FIVE, roles=True) == ("primary",)
    assert roles_of(("one", "n2+n1", "primary", "read-replica"), FIVE) == {"primary", "read-replica"}
    for text in ("n9", "n1+n9", "N1", "", "a b", "-a", "primary+n1"):
        with pytest.raises(ValueError, match=r"or nodes joined by .*, or a role$"):
            parse_target("kill", text, (), FIVE, roles=True)


@given(seeds)
def test_whom_a_role_strikes_is_left_open_until_it_comes(seed: int) -> None:
    drawn = injection("kill:primary", seed, "kill")
    assert drawn.value == {"role": "primary", "seed": seed}
    cluster = Telling({"primary": ("n4", "n2", "s1"), "spare": ()}, {"primary": ("n1",)})
    assert aim(drawn, cluster).value == {"target": "primary", "nodes": ["n2", "n4"]}
    assert aim(drawn, cluster).value == {"target": "primary", "nodes": ["n1"]}


@given(seeds)
def test_a_recorded_injection_strikes_the_same_nodes_again(seed: int) -> None:
    drawn = injection("clock:primary", seed, "clock-bump")
    struck = aim(drawn, Telling({"primary": ("n3",)}), "clock:primary")
    again = msgspec.json.decode(msgspec.json.encode(struck), type=Op)
    assert aim(again, Telling(), "clock:primary") == again
    assert list(struck.value["offsets_ms"]) == ["n3"]


def test_an_isolated_role_hears_and_is_heard_by_nobody_else() -> None:
    drawn = injection("partition:isolate@primary", 7, "partition")
    struck = aim(drawn, Telling({"primary": ("n5",)}), "partition:isolate@primary")
    others = ["n1", "n2", "n3", "n4"]
    assert struck.value == {
        "shape": "isolate@primary",
        "grudge": {"n5": others, **{other: ["n5"] for other in others}},
    }


def test_who_has_which_role_is_told_when_nobody_has_the_one() -> None:
    drawn = injection("kill:spare", 1, "kill")
    with pytest.raises(
        ClusterError, match=r"^no node is spare now; roles are primary: n1, n2; spare: nobody$"
    ):
        aim(drawn, Telling({"primary": ("n1", "n2"), "spare": ()}), "kill:spare")
    with pytest.raises(ClusterError, match=r"^no node is spare now; roles are none$"):
        aim(drawn, Telling({}), "kill:spare")
    with pytest.raises(ClusterError, match=r"^the cluster bare does not tell roles, so nobody is spare$"):
        aim(drawn, Bare(), "kill:spare")


def test_healings_and_other_targets_are_left_as_they_are() -> None:
    for op in (
        nemesis_op("start", msgspec.to_builtins(Target("all", list(FIVE)))),
        nemesis_op("clock-reset"),
        nemesis_op("kill", {"target": "one", "nodes": ["n1"]}),
    ):
        assert aim(op, Bare()) == op


def test_a_role_that_the_cluster_does_not_have_is_refused_before_a_run() -> None:
    telling, bare = cast(Cluster, Telling()), cast(Cluster, Bare())
    check_roles("kill", {"primary"}, telling)
    check_roles("kill", (), bare)
    sentence = (
        r"^kill:most: must be one, minority, majority, all, or nodes joined by '\+', of n1, n2, n3, n4, n5"
    )
    with pytest.raises(ValueError, match=sentence + ", or a role: primary, spare$"):
        check_roles("kill", {"most", "primary"}, telling)
    with pytest.raises(ValueError, match=sentence + "$"):
        check_roles("kill", {"most"}, bare)
