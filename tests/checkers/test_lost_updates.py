"""Lost updates: of cas, of updates, and of appends."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checkers.history import HistoryError, Op, Type
from checkers.lost_updates import LostUpdates
from checkers.verdict import Status, Verdict
from tests.support.registers import Store, recorded

Call = tuple[str, Any, Type]


def run(*calls: Call) -> list[Op]:
    """One after the other, each by a process of its own; an append's value is (element, list after)."""
    events: list[Op] = []
    for number, (f, value, kind) in enumerate(calls):
        asked, told = value if f == "append" else (None if f == "read" else value, value)
        at = len(events)
        events += [
            Op(at, at, number, "invoke", f, "x", asked),
            Op(at + 1, at + 1, number, kind, f, "x", told),
        ]
    return events


def judged(*calls: Call) -> Verdict:
    return LostUpdates().check(run(*calls))


def test_two_updates_of_one_version_are_convicted_and_named() -> None:
    verdict = judged(
        ("write", 1, "ok"), ("cas", [1, 2], "ok"), ("update", [1, 3], "ok"), ("cas", [3, 4], "ok")
    )
    assert verdict.status is Status.INVALID
    assert verdict.details["version"] == 1
    assert verdict.details["lost"] == 1
    assert [op["value"] for op in verdict.details["operations"]] == [[1, 2], [1, 3]]
    assert "2 updates of key x began with 1" in verdict.summary


@pytest.mark.parametrize(
    ("last", "status"),
    [
        (("cas", [1, 3], "fail"), Status.VALID),
        (("cas", [1, 3], "info"), Status.VALID),
        (("cas", [2, 3], "ok"), Status.VALID),
        (("cas", [1, 1], "ok"), Status.VALID),
    ],
)
def test_a_chain_and_what_did_not_happen_are_acquitted(last: Call, status: Status) -> None:
    assert judged(("write", 1, "ok"), ("cas", [1, 2], "ok"), last).status is status


def test_an_indeterminate_update_counts_once_its_result_was_seen() -> None:
    calls: list[Call] = [("write", 1, "ok"), ("cas", [1, 2], "ok"), ("cas", [1, 3], "info")]
    assert judged(*calls).status is Status.VALID
    assert judged(*calls, ("read", 3, "ok")).status is Status.INVALID
    assert judged(*calls, ("cas", [3, 4], "ok")).status is Status.INVALID


def test_a_value_that_was_written_twice_may_be_updated_twice() -> None:
    calls: list[Call] = [
        ("cas", [1, 2], "ok"),
        ("cas", [1, 3], "ok"),
        ("write", 1, "ok"),
        ("write", 1, "info"),
    ]
    assert judged(*calls).status is Status.VALID
    assert judged(*calls, ("cas", [1, 4], "ok")).status is Status.INVALID


def test_appends_to_one_list_and_reads_that_fork() -> None:
    first: Call = ("append", (1, [1]), "ok")
    assert judged(first, ("append", (2, [1, 2]), "ok"), ("read", [1, 2], "ok")).status is Status.VALID
    assert judged(first, ("append", (2, [2]), "ok")).status is Status.INVALID
    blind: list[Call] = [
        ("append", (1, None), "ok"),
        ("append", (2, None), "ok"),
        ("append", (3, None), "ok"),
    ]
    assert judged(first, *blind, ("read", [1, 2], "ok"), ("read", [1, 3], "ok")).details["version"] == (1,)
    with pytest.raises(HistoryError, match="ends with it"):
        judged(("append", (1, [1, 2]), "ok"))


def test_a_list_that_was_deleted_may_begin_anew() -> None:
    first: Call = ("append", (1, [1]), "ok")
    again: Call = ("append", (2, [2]), "ok")
    assert judged(first, ("delete", None, "ok"), again).status is Status.VALID
    assert judged(first, ("delete", None, "ok"), again, ("append", (3, [3]), "ok")).status is Status.INVALID
    assert judged(first, ("delete", None, "fail"), again).status is Status.INVALID


def test_an_append_that_does_not_tell_may_have_made_a_version_of_a_replaced_list_again() -> None:
    begun: list[Call] = [
        ("append", (1, [1]), "ok"),
        ("append", (2, [1, 2]), "ok"),
        ("append", (3, [1, 3]), "ok"),
    ]
    assert judged(*begun, ("delete", None, "ok")).status is Status.INVALID
    assert judged(*begun, ("delete", None, "ok"), ("append", (1, None), "info")).status is Status.VALID
    assert judged(*begun, ("append", (1, None), "info")).status is Status.INVALID


def test_a_read_that_forks_from_what_an_append_was_answered() -> None:
    verdict = judged(("append", (1, [1]), "ok"), ("append", (2, None), "ok"), ("read", [2], "ok"))
    assert (verdict.status, verdict.details["lost"]) == (Status.INVALID, 1)


def test_appends_that_fork_are_told_once() -> None:
    forked: list[Call] = [("append", (1, [1]), "ok"), ("append", (2, [1, 2]), "ok")]
    assert judged(*forked, ("append", (3, [1, 3]), "ok")).details["lost"] == 1


def test_many_indeterminate_updates_in_a_chain_are_settled_in_time() -> None:
    chain: list[Call] = [("cas", [number, number + 1], "info") for number in range(1, 20_000)]
    verdict = judged(("write", 1, "ok"), *chain, ("read", 20_000, "ok"))
    assert (verdict.status, verdict.details["updates"]) == (Status.VALID, 19_999)


def test_nothing_to_judge_is_vacuous_and_other_operations_are_refused() -> None:
    assert judged(("write", 1, "ok")).status is Status.VACUOUS
    with pytest.raises(HistoryError, match="'enqueue' tells of no update"):
        judged(("enqueue", 1, "ok"))
    with pytest.raises(HistoryError, match=r"\[from, to\]"):
        judged(("update", 1, "ok"))


@pytest.mark.parametrize("seed", range(3))
def test_a_correct_store_is_acquitted_and_one_that_does_not_compare_is_not(seed: int) -> None:
    assert LostUpdates().check(recorded(Store(Random(seed)), 3000, 10, 20, 0.05)).status is Status.VALID
    broken = recorded(Store(Random(seed), "cas without comparing", 3), 3000, 10, 20)
    assert LostUpdates().check(broken).status is Status.INVALID


@st.composite
def some_updates(draw: st.DrawFn) -> list[Call]:
    values = st.integers(0, 3)
    found: list[Call] = []
    for _ in range(draw(st.integers(1, 6))):
        kind: Type = draw(st.sampled_from(["ok", "ok", "fail"]))
        if draw(st.integers(0, 3)):
            found.append(("cas", [draw(values), draw(values)], kind))
        else:
            found.append(("write", draw(values), kind))
    return found


def each_has_a_version(calls: list[Call]) -> bool:
    """Some choice gives every update a write of what it replaced, and no two the same one. A version that
    nobody is known to have written was there once."""
    happened = [(f, value) for f, value, kind in calls if kind == "ok"]
    updates = [value for f, value in happened if f == "cas" and value[0] != value[1]]
    brought = [
        value[1] if f == "cas" else value for f, value in happened if f != "cas" or value[0] != value[1]
    ]
    brought += [value for value in {update[0] for update in updates} if value not in brought]
    choices = [[at for at, value in enumerate(brought) if value == update[0]] for update in updates]
    return any(len(set(chosen)) == len(updates) for chosen in product(*choices))


@settings(max_examples=300, deadline=None)
@given(some_updates())
def test_it_agrees_with_trying_every_origin(calls: list[Call]) -> None:
    assert (judged(*calls).status is not Status.INVALID) == each_has_a_version(calls)
