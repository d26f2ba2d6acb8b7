"""What outranks what: whoever has heard the same believes the same, in whatever order it came."""

from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from store.core.gossip.members import RISE_MAX, Members, rank
from store.core.messages import INCARNATIONS, NODES_MAX, News

ALIVE = News("x", "alive", 5, "x:1", 1, "y")
news = st.builds(
    News,
    node=st.just("x"),
    state=st.sampled_from(["alive", "suspect", "dead", "left"]),
    incarnation=st.integers(1, 4),
    address=st.sampled_from(["", "a:1", "b:1"]),
    birth=st.integers(0, 2),
    by=st.just("y"),
)


def members(*owners: str) -> Members:
    return Members(lambda: owners)


def hears(known: Members, said: News, from_itself: bool = False) -> News | None:
    believed = known.judge(said, from_itself)
    if believed is not None:
        known.put(believed, 0, 0)
    return known.get(said.node)


@given(news, news, st.sampled_from(["state", "incarnation", "address", "birth"]))
def test_of_two_that_differ_one_ranks_higher(one: News, foreign: News, field: str) -> None:
    """So it does not matter which came first."""
    other = replace(one, **{field: getattr(foreign, field)})
    assert (rank(one) == rank(other)) == (one == other)


@given(st.lists(news.filter(lambda said: said.state != "dead"), min_size=1, max_size=4))
def test_every_order_ends_in_the_highest_rank(heard: list[News]) -> None:
    """Without deaths, which are believed with caution."""
    for order in permutations(heard):
        known = members("x")
        known.put(News("x", "dead", 0, "", 0, "y"), 0, 0)
        for said in order:
            hears(known, said)
        assert known.get("x") == max(heard, key=rank)


@given(st.lists(news, max_size=12))
def test_rank_never_falls_and_up_is_who_is_alive_or_suspected(heard: list[News]) -> None:
    known = members()
    before = None
    for said in heard:
        after = hears(known, said)
        if before is not None:
            assert after is not None
            assert rank(after) >= rank(before)
        before = after
        assert ("x" in known.up) == (after is not None and after.state in ("alive", "suspect"))


@pytest.mark.parametrize(
    ("said", "believed"),
    [
        (replace(ALIVE, state="suspect"), "suspect"),
        (replace(ALIVE, state="dead"), "suspect"),
        (replace(ALIVE, state="left"), "left"),
        (replace(ALIVE, state="dead", incarnation=4), "alive"),
        (replace(ALIVE, state="suspect", incarnation=6), "suspect"),
    ],
)
def test_hearsay_of_one_who_is_held_to_be_alive(said: News, believed: str) -> None:
    known = members()
    known.put(ALIVE, 0, 0)
    after = hears(known, said)
    assert after is not None
    assert after.state == believed


def test_only_a_higher_incarnation_brings_the_dead_back() -> None:
    known = members()
    known.put(replace(ALIVE, state="dead"), 0, 0)
    assert hears(known, ALIVE) == replace(ALIVE, state="dead")
    assert hears(known, replace(ALIVE, incarnation=6)) == replace(ALIVE, incarnation=6)
    assert list(known.up) == ["x"]


def test_who_is_gone_and_owns_nothing_is_not_got_to_know() -> None:
    for state in ("dead", "left"):
        assert hears(members(), replace(ALIVE, state=state)) is None
    assert hears(members("x"), replace(ALIVE, state="dead")) == replace(ALIVE, state="dead")


def test_a_forged_huge_incarnation_is_not_believed_but_from_the_node_itself() -> None:
    known = members()
    known.put(ALIVE, 0, 0)
    forged = replace(ALIVE, state="dead", incarnation=INCARNATIONS - 1)
    assert hears(known, forged) == ALIVE
    assert hears(known, replace(ALIVE, incarnation=5 + RISE_MAX)) == replace(ALIVE, incarnation=5 + RISE_MAX)


def test_who_was_first_known_by_a_forgery_is_set_right_by_itself() -> None:
    known = members()
    hears(known, replace(ALIVE, incarnation=INCARNATIONS - 1, address="evil:1"))
    assert hears(known, ALIVE, from_itself=True) == ALIVE


def test_room_is_bounded_and_owners_always_find_some() -> None:
    known = Members(lambda: ("owner",))
    for i in range(NODES_MAX + 100):
        hears(known, News(f"forged{i}", "alive", 1, "f:1", 0, "y"))
    assert len(known) == NODES_MAX
    hears(known, News("owner", "alive", 1, "o:1", 0, "y"))
    assert "owner" in known
    assert len(known) == NODES_MAX
