"""Bounded staleness: versions and seconds, by hand and from stores whose lag is known."""

from __future__ import annotations

from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.history import Op
from checkers.readings import accesses
from checkers.staleness import Staleness
from checkers.staleness.clusters import all_fresh, clusters
from checkers.staleness.versions import TwoAtomic
from checkers.verdict import Status
from tests.support.consistency import small, smallest_k
from tests.support.histories import history
from tests.support.replicas import recorded

BEHIND = "0(w1 0)w1 0(w2 0)w2 0(w3 0)w3 0(w4 0)w4 1(r 1)r1"


def test_the_versions_and_the_time_that_a_read_is_behind() -> None:
    verdict = Staleness().check(history(BEHIND))
    assert verdict.status is Status.VALID
    assert verdict.details["k"] == [4, 4]
    assert verdict.details["t_s"] == [0.005, 0.005]
    assert verdict.details["stale_reads"] == 1
    worst = verdict.details["stalest"][0]
    assert (worst["versions"], worst["seconds"], worst["read"], worst["overwritten_by"]) == (3, 0.005, 8, 2)
    assert msgspec.json.encode(verdict)


def test_reads_that_go_back_while_a_write_is_under_way_are_stale_too() -> None:
    verdict = Staleness().check(history("0(w1 0)w1 0(w2 1(r 1)r2 2(r 2)r1 0)w2"))
    assert verdict.details["k"] == [2, 2]
    assert verdict.details["t_s"] == [0.001, 0.001]


def test_two_reads_behind_one_write_of_which_only_one_can_be_right_before_it() -> None:
    events = history("0(w1 1(w2 0)w1 1)w2 0(w3 0)w3 1(r 1)r1 1(r 1)r2")
    assert Staleness().check(events).details["k"] == [3, 3]


@pytest.mark.parametrize(("read", "k"), [("0(r 0)r", [1, 1]), ("0(w2 0)w2 0(r 0)r", [2, 2])])
def test_a_deleted_key_is_as_stale_as_the_best_way_to_read_it(read: str, k: list[int]) -> None:
    verdict = Staleness().check(history(f"0(w1 0)w1 0(w 0)w {read}"))
    assert (verdict.details["k"], verdict.details["unclear_reads"]) == (k, 1)


def test_what_touches_in_time_does_not_come_before() -> None:
    assert all_fresh([(1, 3), (3, 5)])
    assert not all_fresh([(1, 3), (2, 5)])


@pytest.mark.parametrize(
    ("bounds", "status"),
    [
        ({"k_max": 4}, Status.VALID),
        ({"k_max": 3}, Status.INVALID),
        ({"t_max_s": 0.005}, Status.VALID),
        ({"t_max_s": 0.004}, Status.INVALID),
        ({"k_max": 4, "t_max_s": 0.001}, Status.INVALID),
    ],
)
def test_bounds_are_held_against_it(bounds: dict[str, float], status: Status) -> None:
    verdict = Staleness(**bounds).check(history(BEHIND))  # type: ignore[arg-type]
    assert verdict.status is status
    if status is Status.INVALID:
        assert verdict.details["anomaly"] == "stale read"
        assert len(verdict.details["operations"]) == 3


def test_without_times_the_seconds_are_not_known() -> None:
    events = [msgspec.structs.replace(op, time=-1) for op in history(BEHIND)]
    assert Staleness().check(events).details["t_s"] is None
    assert Staleness(t_max_s=10).check(events).status is Status.UNKNOWN


def test_a_bound_between_the_limits_is_not_decided() -> None:
    events = recorded(Random(4), "causal", 60, 4, 3)
    between = [
        Staleness(k_max=verdict.details["k"][0]).check(events)
        for seed in range(40)
        for events in [recorded(Random(seed), "causal", 60, 4, 3)]
        for verdict in [Staleness().check(events)]
        if verdict.details["k"][0] < verdict.details["k"][1]
    ]
    assert between
    assert all(verdict.status is Status.UNKNOWN for verdict in between)
    assert Staleness().check(events).status is Status.VALID


def test_nothing_read_is_vacuous_and_thin_air_is_invalid_and_bounds_make_sense() -> None:
    assert Staleness().check(history("0(w1 0)w1")).status is Status.VACUOUS
    assert Staleness().check(history("0(r 0)r5")).status is Status.INVALID
    with pytest.raises(ValueError, match="k_max >= 1"):
        Staleness(k_max=0)


@pytest.mark.parametrize("seed", range(5))
def test_one_copy_is_fresh_and_copies_of_a_log_are_as_stale_as_they_lag(seed: int) -> None:
    assert (
        Staleness(1, 0).check(recorded(Random(seed), "linearizable", 500, 5, 3, 0.05)).status is Status.VALID
    )
    verdict = Staleness().check(recorded(Random(seed), "roaming", 500, 5, 1))
    assert 2 <= verdict.details["k"][0] <= verdict.details["k"][1] <= 12


@settings(max_examples=300, deadline=None)
@given(small(size=7, keys="x", cas=False), st.just(100_000))
def test_limited_backtracking_agrees_with_trying_all_orders(events: list[Op], steps: int) -> None:
    judged = accesses(events)
    if judged.phantoms or not judged.all:
        return
    right = smallest_k(events)
    assert TwoAtomic(clusters(judged.all)["x"], steps).decide() == (right is not None and right <= 2)
    assert TwoAtomic(clusters(judged.all)["x"], 0).decide() is None


def test_reads_that_are_to_be_fresh_may_not_be_stale_for_certain() -> None:
    def wrote(process: int, value: int) -> list[Op]:
        return [Op(process=process, type=kind, f="write", key="k", value=value) for kind in ("invoke", "ok")]

    def read(process: int, value: int) -> list[Op]:
        return [
            Op(process=process, f="read", key="k"),
            Op(process=process, type="ok", f="read", key="k", value=value),
        ]

    stale = [*wrote(0, 1), *wrote(0, 2), *read(1, 1)]
    assert Staleness().check(stale).status is Status.VALID
    verdict = Staleness(fresh=True).check(stale)
    assert verdict.status is Status.INVALID
    assert verdict.summary == "1 of 1 reads missed what was acknowledged before they began"
    assert verdict.details["anomaly"] == "stale read"
    begun, done = wrote(0, 2)
    inverted = [
        *wrote(0, 1),
        begun,
        *read(1, 2),
        *read(2, 1),
        done,
    ]  # a regular register may, an atomic one not
    assert Staleness(fresh=True).check(inverted).status is Status.VALID, "nobody had acknowledged 2"
    assert Staleness(k_max=1).check(inverted).status is Status.INVALID
