"""What a node sees of the ring, against a naive walk around it; and what it tells of partitions."""

from __future__ import annotations

from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from store.core.gossip.sight import Reach, Sight, reach
from store.core.messages import Layout, Member
from store.core.options import Options
from store.core.ownership.layout import Placement, first_layout
from store.core.ownership.ring import Ring, position
from store.core.port import Port
from tests.support.gossip import PERIOD, Bus
from tests.support.mending import Mending

NAMES = tuple([f"n{i}" for i in range(1, 8)])


def walk(names: tuple[str, ...], vnodes: int, start: int, count: int) -> list[str]:
    """The first distinct nodes clockwise from `start`, by looking at every point."""
    points = sorted([(position(f"{name}#{i}"), name) for name in names for i in range(vnodes)])
    after = [name for at, name in points if at > start] + [name for at, name in points if at <= start]
    return list(dict.fromkeys(after))[:count]


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 7),
    st.integers(0, 7),
    st.integers(1, 5),
    st.integers(1, 4),
    st.sets(st.sampled_from(NAMES)),
)
def test_reach_is_what_a_naive_walk_finds(now: int, then: int, n: int, vnodes: int, up: set[str]) -> None:
    layout = first_layout(NAMES[:now], n, vnodes)
    if then:
        layout = replace(layout, next=tuple([Member(name) for name in NAMES[7 - then :]]))
    place = Placement(layout)
    groups = [NAMES[:now]] + ([NAMES[7 - then :]] if then else [])
    starts = {position(f"{name}#{i}") for names in groups for name in names for i in range(vnodes)}
    with_quorum = with_one = 0
    for start in starts:
        lists = [walk(names, vnodes, start, n) for names in groups]
        seen = [len(up & set(replicas)) for replicas in lists]
        with_quorum += all(2 * s > len(replicas) for s, replicas in zip(seen, lists, strict=True))
        with_one += all(seen)
    assert reach(place, frozenset(up)) == Reach(len(starts), with_quorum, with_one)


def watched(bus: Bus) -> dict[str, Sight]:
    """A sight for every node."""
    options = Options(probe_nanos=PERIOD)
    sights = {name: Sight(cast(Port, peer), options, peer.swim) for name, peer in bus.peers.items()}
    for sight in sights.values():
        sight.start()
    return sights


def cluster(nodes: int) -> tuple[Bus, dict[str, Sight]]:
    bus = Bus(1)
    bus.owners(nodes)
    sights = watched(bus)
    bus.run(5)
    return bus, sights


def test_while_all_owners_are_alive_everything_is_in_sight() -> None:
    bus, sights = cluster(5)
    status = sights["n1"].status()
    assert status["partitioned_since"] is None
    assert status["side"] == ["n1", "n2", "n3", "n4", "n5"]
    assert status["ranges_with_quorum"] == status["ranges_with_one_replica"] == "40 of 40"
    assert status["members"]["n2"] == {
        "state": "alive",
        "incarnation": bus.peers["n2"].swim.me.incarnation,
        "address": "n2:1",
        "since": 0,
    }
    assert list(status["members"]) == ["n1", "n2", "n3", "n4", "n5"]
    assert bus.told("partitioned") == []


def test_each_side_of_a_split_knows_since_when_and_what_it_can_serve() -> None:
    bus, sights = cluster(5)
    bus.split(["n1", "n2"], ["n3", "n4", "n5"])
    bus.run(100)
    small, large = sights["n1"].status(), sights["n3"].status()
    assert small["side"] == ["n1", "n2"]
    assert large["side"] == ["n3", "n4", "n5"]
    assert 5_000 < small["partitioned_since"] < 60_000
    place = bus.placement
    assert place is not None
    for status, side in ((small, {"n1", "n2"}), (large, {"n3", "n4", "n5"})):
        seen = reach(place, frozenset(side))
        assert status["ranges_with_quorum"] == f"{seen.with_quorum} of 40"
        assert status["ranges_with_one_replica"] == f"{seen.with_one} of 40"
    # Of three replicas either side has two: each range has its quorum on one side only.
    assert sum([int(status["ranges_with_quorum"].split()[0]) for status in (small, large)]) == 40
    bus.split()
    bus.run(20)
    assert [sight.partitioned_since for sight in sights.values()] == [None] * 5
    healed = bus.told("healed")
    assert len(bus.told("partitioned")) == len(healed) == 5
    begun = {heard.name: heard.at for heard in bus.told("partitioned")}
    for heard in healed:
        assert heard.fields["lasted_ms"] == (heard.at - begun[heard.name]) // 1_000_000
        assert heard.fields["ranges_with_quorum"] == "40 of 40"


def test_a_new_layout_without_the_dead_owner_heals() -> None:
    bus, sights = cluster(4)
    bus.crash("n4")
    bus.run(30)
    assert sights["n1"].unseen() == ["n4"]
    layout = Layout(2, tuple([Member(name) for name in ("n1", "n2", "n3")]), 3, 8, ("n1",))
    for peer in bus.running():
        peer.placement = Placement(layout)
    bus.run(2)
    assert {heard.name for heard in bus.told("healed")} == {"n1", "n2", "n3"}


def test_a_new_layout_with_an_owner_that_was_never_heard_of_is_looked_for() -> None:
    bus, sights = cluster(3)
    layout = Layout(2, tuple([Member(name) for name in ("n1", "n2", "n3", "n9")]), 3, 8, ("n1",))
    for peer in bus.running():
        peer.placement = Placement(layout)
    bus.run(60)
    assert sights["n1"].unseen() == ["n9"]


def test_what_is_in_reach_is_computed_once() -> None:
    _, sights = cluster(3)
    assert sights["n1"].reach() is sights["n1"].reach()


def test_without_a_layout_there_is_nothing_to_see() -> None:
    bus = Bus(2)
    bus.joiner("j")
    sight = watched(bus)["j"]
    bus.run(3)
    status: dict[str, Any] = sight.status()
    assert status["partitioned_since"] is None
    assert "side" not in status
    assert sight.reach() is None


def test_the_ring_and_the_walk_agree_on_keys() -> None:
    ring = Ring(NAMES, vnodes=4)
    for i in range(100):
        assert list(ring.preference(f"k{i}", 3)) == walk(NAMES, 4, position(f"k{i}"), 3)


def test_a_cluster_that_starts_or_restarts_tells_of_no_partition() -> None:
    """Owners become members one by one; that is no news."""
    mending = Mending(nodes=5)
    mending.start()
    mending.run(3)
    mending.kill("n2")
    mending.start("n2")
    mending.run(3)
    assert not mending.events("partitioned")
    assert not mending.events("healed")
