"""What moves from one layout to the next, against a naive look at every key; and that quorums still meet."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from store.core.messages import Bucket, Layout, Member
from store.core.ownership.changes import completed, joint
from store.core.ownership.layout import Placement, first_layout, pullers
from store.core.ownership.moves import CIRCLE, arcs, balance, moved_share, moving, pulling
from store.core.ownership.ring import position

NAMES = [f"n{i}" for i in range(1, 9)]
KEYS = [f"{bucket}key-{i}" for i in range(15) for bucket in ("", "b/")]


def alive(node: str) -> bool:
    return True


@st.composite
def moves(draw: st.DrawFn) -> Layout:
    """A joint layout: some nodes come, some go, or a bucket does."""
    before = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    after = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=6, unique=True))
    bucket = Bucket("b", draw(st.integers(1, 6)), "lww")
    held = draw(st.sampled_from([(), (bucket,)]))
    first = first_layout(before, draw(st.integers(1, 5)), draw(st.integers(1, 4)), held)
    buckets = draw(st.sampled_from([None, (Bucket("b", draw(st.integers(1, 6)), "lww"),)]))
    if buckets is not None:
        after = before
    return joint(first, tuple([Member(name) for name in after]), alive, buckets)


@given(moves())
def test_arcs_cover_the_circle_once(layout: Layout) -> None:
    before, after = Placement(layout).rings
    found = list(arcs(before, after, 3, 3))
    assert sum((arc.high - arc.low) % CIRCLE or CIRCLE for arc in found) == CIRCLE
    assert sum(arc.share for arc in found) == pytest.approx(1.0)


@given(moves())
def test_the_arcs_that_move_are_those_of_the_keys_that_move(layout: Layout) -> None:
    place = Placement(layout)
    found = moving(place)
    for key in KEYS:
        at = position(key)
        lists = place.replicas(key)
        here = [
            arc
            for arc in found
            if (arc.low <= at < arc.high or (arc.low >= arc.high and (at >= arc.low or at < arc.high)))
            and (arc.old, arc.new) == lists
        ]
        assert [arc.pullers for arc in here[:1]] == ([place.pullers(key)] if place.pullers(key) else [])
        assert set(place.pullers(key)) <= set(pulling(place))


@given(moves())
def test_a_key_is_where_the_two_stable_layouts_have_it(layout: Layout) -> None:
    place, end = Placement(layout), Placement(completed(layout, alive))
    for key in KEYS:
        assert place.replicas(key)[-1] == end.replicas(key)[0]
        assert place.bucket(key).conflict in ("lww",)


def majorities(nodes: tuple[str, ...]) -> list[frozenset[str]]:
    return [frozenset(some) for some in combinations(nodes, len(nodes) // 2 + 1)]


@settings(max_examples=40)
@given(moves())
def test_quorums_of_adjacent_epochs_share_a_node(layout: Layout) -> None:
    """And those of the two stable ones need not, which is why registers are chosen anew in between."""
    place, end = Placement(layout), Placement(completed(layout, alive))
    for key in KEYS[:6]:
        old, new = place.replicas(key)[0], place.replicas(key)[-1]
        both = [one | other for one in majorities(old) for other in majorities(new)]
        for quorum in both:
            assert all(quorum & other for other in majorities(old))
            assert all(quorum & other for other in majorities(end.replicas(key)[0]))


@settings(max_examples=60)
@given(moves())
def test_what_a_majority_had_a_majority_has_after_the_pull(layout: Layout) -> None:
    """Whatever majority of the old owners has a write, and whatever majority of them is pulled from: every
    majority of the new owners has somebody who has it."""
    place = Placement(layout)
    for key in KEYS[:6]:
        old, new = place.replicas(key)[0], place.replicas(key)[-1]
        if old == new:
            continue
        for holders in majorities(old):
            having = (holders & set(new)) | set(place.pullers(key))
            assert all(having & reading for reading in majorities(new))


@pytest.mark.parametrize(
    ("old", "new", "who"),
    [
        ("abc", "abd", "d"),
        ("abc", "ab", "ab"),
        ("ab", "abc", "c"),
        ("abc", "cab", ""),
        ("abc", "de", "de"),
        ("abc", "bd", "bd"),
    ],
)
def test_who_pulls(old: str, new: str, who: str) -> None:
    assert pullers(tuple(old), tuple(new)) == tuple(who)


def grown(n: int, vnodes: int = 64) -> tuple[Placement, Placement]:
    names = [f"n{i}" for i in range(1, n + 2)]
    return Placement(first_layout(names[:n], 3, vnodes)), Placement(first_layout(names, 3, vnodes))


@pytest.mark.parametrize("n", [3, 5, 10, 20])
def test_a_node_that_joins_or_leaves_moves_about_its_share(n: int) -> None:
    before, after = grown(n)
    for moved in (moved_share(before, after), moved_share(after, before)):
        assert 0.6 / (n + 1) < moved < 1.5 / (n + 1)


def test_shares_of_the_ring_are_what_many_keys_show() -> None:
    place = Placement(first_layout(NAMES[:5], 3, 16))
    shares = balance(place)
    assert sum(shares.values()) == pytest.approx(1.0)
    counts = dict.fromkeys(shares, 0)
    for i in range(20_000):
        for node in place.replicas(f"key-{i}")[0]:
            counts[node] += 1
    for node, share in shares.items():
        assert counts[node] / 60_000 == pytest.approx(share, abs=0.01)
