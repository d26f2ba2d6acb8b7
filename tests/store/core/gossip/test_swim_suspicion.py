"""The arithmetic of suspicion and of spreading, against the papers."""

from __future__ import annotations

from itertools import pairwise
from math import ceil, e, log, log10

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.core.gossip.dissemination import Dissemination, sends_max
from store.core.gossip.health import SCORE_MAX, LocalHealth
from store.core.gossip.suspicion import ALPHA, BETA, CONFIRMATIONS, Suspicion, bounds
from store.core.messages import News

SECOND = 1_000_000_000


@given(st.integers(CONFIRMATIONS + 2, 1000), st.integers(0, CONFIRMATIONS + 2))
def test_the_timeout_is_lifeguards_formula(members: int, confirmations: int) -> None:
    least = ALPHA * max(1, log10(members))
    most = BETA * least
    formula = max(least, most - (most - least) * log(confirmations + 1) / log(CONFIRMATIONS + 1))
    assert bounds(members, SECOND).timeout(confirmations) == pytest.approx(formula * SECOND, rel=1e-6)


@given(st.integers(1, 1000))
def test_each_confirmation_shortens_it_and_the_first_the_most(members: int) -> None:
    limits = bounds(members, SECOND)
    waits = [limits.timeout(confirmations) for confirmations in range(limits.needed + 1)]
    steps = [before - after for before, after in pairwise(waits)]
    assert waits[-1] == limits.least
    assert all(step > 0 for step in steps)
    assert steps == sorted(steps, reverse=True)


@pytest.mark.parametrize(("members", "needed"), [(1, 0), (2, 0), (3, 1), (4, 2), (5, 3), (200, 3)])
def test_no_more_confirmations_are_waited_for_than_can_come(members: int, needed: int) -> None:
    limits = bounds(members, SECOND)
    assert limits.needed == needed
    assert limits.timeout(needed) == limits.least
    if not needed:
        assert limits.timeout(0) == limits.least


def test_an_accuser_counts_once_and_no_more_than_needed_count() -> None:
    suspicion = Suspicion("a", 0, bounds(10, SECOND))
    assert not suspicion.confirm("a")
    assert [suspicion.confirm(name) for name in "bbcde"] == [True, False, True, True, False]
    assert suspicion.due == bounds(10, SECOND).least


def test_when_anothers_wait_is_over_the_least_remains() -> None:
    suspicion = Suspicion("a", 7, bounds(10, SECOND))
    assert suspicion.make_certain()
    assert not suspicion.make_certain()
    assert suspicion.due == 7 + bounds(10, SECOND).least


@given(st.integers(2, 1000))
def test_news_is_sent_a_number_of_times_that_grows_with_the_logarithm(members: int) -> None:
    assert sends_max(members) == ceil(3 * log(members + 1))
    assert members * e ** -sends_max(members) < 1 / members  # whom random telling leaves out (SWIM, 4.1)


@given(st.integers(0, 60), st.integers(1, 16), st.integers(2, 200))
def test_the_least_sent_goes_first_and_nothing_is_sent_too_often(
    count: int, limit: int, members: int
) -> None:
    queue = Dissemination()
    for i in range(count):
        queue.add(News(f"n{i}", "alive", 1, "", 0, "y"))
    sends: dict[str, int] = {}
    while queue:
        taken = [news.node for news in queue.take(limit, members)]
        assert 0 < len(taken) <= limit
        assert len(set(taken)) == len(taken)
        for node in taken:
            sends[node] = sends.get(node, 0) + 1
            assert sends[node] <= 1 + min([sends.get(f"n{i}", 0) for i in range(count)])
    assert sends == {f"n{i}": sends_max(members) for i in range(count)}


def test_newer_news_takes_the_place_of_older() -> None:
    queue = Dissemination()
    for incarnation in range(5):
        queue.add(News("x", "alive", incarnation, "", 0, "y"))
    assert [news.incarnation for news in queue.take(16, 3)] == [4]


def test_health_stays_within_its_scale() -> None:
    health = LocalHealth(SECOND)
    health.better()
    assert health.scaled(10) == 10
    for _ in range(2 * SCORE_MAX):
        health.worse()
    assert health.scaled(10) == 10 * (SCORE_MAX + 1)


def test_who_looks_a_period_too_late_has_slept() -> None:
    health = LocalHealth(SECOND)
    assert not health.overslept(due=5 * SECOND, now=6 * SECOND)
    assert health.score == 0
    assert health.overslept(due=5 * SECOND, now=6 * SECOND + 1)
    assert health.score == 1
