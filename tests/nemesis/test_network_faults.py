"""What partitions, cuts of clients and packet faults draw."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.cluster.base import Behaviour
from nemesis.base import nemesis_op
from nemesis.packets import KINDS, PacketsFault, Shaped
from nemesis.partition import draw_cut
from nemesis.targets import ByRoles, Target
from tests.nemesis.test_faults import FIVE, Recording, fault, injections, invoke

seeds = st.integers(min_value=0, max_value=2**64 - 1)


def links(grudge: dict[str, list[str]]) -> set[tuple[str, str]]:
    return {(source, target) for target, sources in grudge.items() for source in sources}


@given(seeds, st.integers(min_value=2, max_value=9))
def test_a_random_cut_leaves_something_and_is_not_the_same_both_ways(seed: int, count: int) -> None:
    nodes = [f"n{i}" for i in range(count)]
    cut = links(draw_cut(["random"], nodes, seed).grudge)
    assert 0 < len(cut) < count * (count - 1)
    assert any((target, source) not in cut for source, target in cut)


def test_with_few_nodes_where_it_would_be_likely_no_random_cut_is_the_same_both_ways() -> None:
    for seed in range(300):
        cut = links(draw_cut(["random"], FIVE[:3], seed).grudge)
        assert any((target, source) not in cut for source, target in cut)


def test_random_cuts_are_of_every_size_and_of_every_link() -> None:
    cuts = [links(draw_cut(["random"], FIVE, seed).grudge) for seed in range(600)]
    assert {len(cut) for cut in cuts} == set(range(1, 20))
    struck = [sum(link in cut for cut in cuts) for link in links({n: list(set(FIVE) - {n}) for n in FIVE})]
    assert len(struck) == 20
    assert min(struck) > 200
    assert max(struck) < 400


@pytest.mark.parametrize(("count", "alone"), [(4, 1), (5, 1), (7, 2), (9, 2), (10, 3)])
def test_a_third_is_cut_from_the_rest_both_ways(count: int, alone: int) -> None:
    nodes = tuple(f"n{i}" for i in range(count))
    for seed in range(10):
        cut = links(draw_cut(["third"], nodes, seed).grudge)
        assert len(cut) == 2 * alone * (count - alone)
        assert all((target, source) in cut for source, target in cut)
    with pytest.raises(ValueError, match=r"^partition:third needs at least 4 nodes, not 3$"):
        fault("partition:third", nodes[:3])


def test_clients_are_cut_off_from_some_nodes_but_never_from_all() -> None:
    sizes = {op.value["target"]: len(op.value["nodes"]) for op in injections("clients")}
    assert sizes == {"one": 1, "minority": 2, "majority": 3}
    assert {tuple(op.value["nodes"]) for op in injections("clients:n2+n5", 5)} == {("n2", "n5")}
    assert {op.value["role"] for op in injections("clients:steward", 5)} == {"steward"}
    cluster = Recording()
    invoke(nemesis_op("cut-clients", {"target": "one", "nodes": ["n2"]}), cluster)
    invoke(fault("clients").healing(), cluster)
    assert cluster.told == [("cut_clients", ("n2",)), ("heal_clients", None)]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_kind_draws_what_it_is_called_after_and_nothing_else(kind: str) -> None:
    parts = {
        "delay": {"delay_ms", "jitter_ms"},
        "reorder": {"delay_ms", "reorder"},
        "rate": {"rate_kbit"},
    }.get(kind, {kind})
    drawn = [msgspec.convert(op.value, Shaped) for op in injections(f"packets:{kind}", 60)]
    assert {shaped.kind for shaped in drawn} == {kind}
    assert all(msgspec.to_builtins(shaped.behaviour).keys() == parts for shaped in drawn)
    assert len({shaped.behaviour for shaped in drawn}) >= 5
    assert {len(shaped.nodes) for shaped in drawn} == {1, 2, 3, 5}


def test_without_a_choice_every_kind_is_drawn() -> None:
    assert {op.value["kind"] for op in injections("packets", 100)} == KINDS.keys()
    with pytest.raises(
        ValueError, match=r"^packets:lag: must be delay, loss, duplicate, reorder, corrupt, rate, and after"
    ):
        PacketsFault(FIVE, "lag")


def test_packets_of_those_who_were_asked_for_suffer() -> None:
    drawn = [msgspec.convert(op.value, Shaped) for op in injections("packets:loss@n4+n2", 9)]
    assert {(shaped.target, tuple(shaped.nodes)) for shaped in drawn} == {("n4+n2", ("n2", "n4"))}
    assert len({shaped.behaviour for shaped in drawn}) > 1
    (op,) = injections("packets:delay@steward", 1)
    chosen = fault("packets:delay@steward")
    assert isinstance(chosen, ByRoles)
    struck = msgspec.convert(
        chosen.aim(op.f, Target(op.value["role"], ["n5"]), op.value["seed"]).value, Shaped
    )
    assert (struck.target, struck.nodes, struck.kind) == ("steward", ["n5"], "delay")
    with pytest.raises(ValueError, match=r"^packets:loss@n9: must be one, minority"):
        fault("packets:loss@n9")


def test_what_was_drawn_is_what_the_cluster_is_told() -> None:
    cluster = Recording()
    value = {"target": "one", "nodes": ["n3"], "kind": "loss", "behaviour": {"loss": 0.25}}
    invoke(nemesis_op("packets", value), cluster)
    invoke(fault("packets").healing(), cluster)
    assert cluster.told == [("shape", (("n3",), Behaviour(loss=0.25))), ("unshape", None)]


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        ({"loss": 1.5}, "loss must be from 0 to 1, not 1.5"),
        ({"rate_kbit": -1}, "rate_kbit must be 0 or more, not -1"),
        ({"reorder": 0.1}, "reorder needs a delay_ms"),
        ({"jitter_ms": 5}, "jitter_ms needs a delay_ms"),
    ],
)
def test_a_recorded_behaviour_that_makes_no_sense_is_refused_before_the_cluster_is_told(
    behaviour: dict[str, float], said: str
) -> None:
    cluster = Recording()
    value = {"target": "one", "nodes": ["n3"], "kind": "loss", "behaviour": behaviour}
    assert said in str(invoke(nemesis_op("packets", value), cluster).error)
    assert cluster.told == []
