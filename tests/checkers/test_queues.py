from __future__ import annotations

from collections import Counter
from itertools import combinations, permutations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from checkers.history import HistoryError, Op, pair
from checkers.linear import Linearizable
from checkers.models import FifoQueue
from checkers.queues import TotalQueue
from checkers.unique_ids import UniqueIds
from checkers.verdict import Status
from tests.support.containers import at_last, events, recorded, small


def correct(seed: int, faulty: float = 0.2) -> list[Op]:
    """With dequeues at the end until one finds nothing."""
    state: list[int] = []

    def ask(rng: Random, number: int) -> tuple[str, Any]:
        return ("enqueue", number) if rng.random() < 0.5 else ("dequeue", None)

    def answer(state: list[int], f: str, value: Any) -> Any:
        if f == "enqueue":
            state.append(value)
            return value
        return state.pop(0) if state else None

    history = recorded(Random(seed), state, ask, answer, 60, faulty=faulty)
    for value in [*state, None]:
        history = at_last(history, Op(f="dequeue"), value)
    return history


@pytest.mark.parametrize("seed", range(50))
def test_a_correct_queue_is_acquitted(seed: int) -> None:
    history = correct(seed)
    assert TotalQueue().check(history).status is Status.VALID
    assert Linearizable(FifoQueue()).check(history).status is Status.VALID


def takes(history: list[Op]) -> list[int]:
    sure = {op.value for op in history if op.f == "enqueue" and op.type == "ok"}
    return [
        at
        for at, op in enumerate(history)
        if op.f == "dequeue" and op.type == "ok" and op.value is not None and op.value in sure
    ]


@pytest.mark.parametrize("seed", range(20))
def test_a_value_that_nobody_gets_is_lost(seed: int) -> None:
    history = correct(seed, faulty=0)
    at = Random(seed).choice(takes(history))
    broken = [*history[:at], replace(history[at], type="fail", value=None), *history[at + 1 :]]
    verdict = TotalQueue().check(broken)
    assert (verdict.status, verdict.details["examples"]["lost"]) == (Status.INVALID, [history[at].value])


@pytest.mark.parametrize("seed", range(20))
def test_a_value_that_two_get_is_duplicated(seed: int) -> None:
    history = correct(seed)
    value = history[Random(seed).choice(takes(history))].value
    verdict = TotalQueue().check(at_last(history, Op(f="dequeue"), value))
    assert (verdict.status, verdict.details["duplicated"]) == (Status.INVALID, 1)
    assert [op["value"] for op in verdict.details["operations"]] == [value]


def test_a_value_that_nobody_had_put_in_by_then_is_unexpected() -> None:
    for text in (
        "0dequeue 0dequeue=7",
        "0enqueue:7 0enqueue:7! 0dequeue 0dequeue=7",
        "0dequeue 0dequeue=7 1enqueue:7 1enqueue:7=",
    ):
        verdict = TotalQueue().check(events(text))
        assert (verdict.status, verdict.details["unexpected"]) == (Status.INVALID, 1)


def test_a_missing_value_may_still_be_in_there_until_somebody_finds_nothing() -> None:
    missing = "0enqueue:6 0enqueue:6= 0dequeue 0dequeue=6 0enqueue:7 0enqueue:7="
    verdict = TotalQueue().check(events(missing))
    assert (verdict.status, verdict.details["left"]) == (Status.UNKNOWN, 1)
    assert TotalQueue().check(events(missing + " 1dequeue 1dequeue=")).status is Status.INVALID
    empty = [*events(missing + " 1dequeue"), Op(process=1, type="fail", f="dequeue", error="empty")]
    assert TotalQueue().check(empty).status is Status.INVALID


def test_as_many_may_be_missing_as_indeterminate_dequeues_can_have_taken() -> None:
    two = "0enqueue:6 0enqueue:6= 0enqueue:7 0enqueue:7= 0enqueue:8 0enqueue:8= 0dequeue 0dequeue=6"
    crash = " 1dequeue 1dequeue?"
    assert TotalQueue().check(events(two + crash + " 0dequeue 0dequeue=")).details["lost"] == 1
    verdict = TotalQueue().check(events(two + crash + " 2dequeue 2dequeue? 0dequeue 0dequeue="))
    assert (verdict.status, verdict.details["explained"]) == (Status.VALID, 2)
    late = TotalQueue().check(events(two + " 0dequeue 0dequeue=" + crash + " 2dequeue 2dequeue?"))
    assert late.details["lost"] == 2, "they began when both were gone"


def test_what_an_indeterminate_dequeue_or_drain_took_was_gone_only_after_it_began() -> None:
    put = "0enqueue:6 0enqueue:6= "
    first_end = put + "1dequeue 2dequeue 2dequeue= 3dequeue 3dequeue? 1dequeue="
    assert TotalQueue().check(events(first_end)).details["lost"] == 1, "gone when the first of them ended"
    assert TotalQueue().check(events(put + "1dequeue 1dequeue= 2drain 2drain?")).details["lost"] == 1


@pytest.mark.parametrize("error", ["empty", ":empty", "exhausted", ":exhausted"])
def test_how_others_say_that_a_queue_is_empty(error: str) -> None:
    put = events("0enqueue:7 0enqueue:7= 1dequeue")
    found = [*put, Op(process=1, type="fail", f="dequeue", error=error)]
    assert TotalQueue().check(found).details["lost"] == 1


def test_what_was_never_acknowledged_is_recovered_as_often_as_it_was_put_in() -> None:
    verdict = TotalQueue().check(events("0enqueue:6 0enqueue:6? 1dequeue 1dequeue=6 1dequeue 1dequeue=6"))
    assert (verdict.details["recovered"], verdict.details["duplicated"]) == (1, 1)


def test_a_drain_gives_all_that_was_left() -> None:
    put = "0enqueue:6 0enqueue:6= 0enqueue:7 0enqueue:7="
    assert TotalQueue().check(events(put + " 1drain 1drain=[7,6]")).status is Status.VALID
    assert TotalQueue().check(events(put + " 1drain 1drain=[7]")).details["examples"] == {"lost": [6]}
    maybe = events(put + " 1drain 1drain? 2dequeue 2dequeue=7 2dequeue 2dequeue=")
    assert TotalQueue().check(maybe).details["explained"] == 1


def test_the_same_value_may_be_put_in_twice() -> None:
    twice = "0enqueue:6 0enqueue:6= 0enqueue:6 0enqueue:6= 0dequeue 0dequeue=6"
    assert TotalQueue().check(events(twice + " 0dequeue 0dequeue=6")).status is Status.VALID
    assert TotalQueue().check(events(twice + " 0dequeue 0dequeue=")).details["lost"] == 1


def test_a_dequeue_that_failed_for_any_other_reason_has_seen_nothing() -> None:
    put = events("0enqueue:6 0enqueue:6= 1enqueue:7 1enqueue:7= 0dequeue 0dequeue=6 0dequeue")
    for error in (None, "timeout", ["empty"], {"empty": 1}, 3):
        refused = [*put, Op(process=0, type="fail", f="dequeue", error=error)]
        assert TotalQueue().check(refused).status is Status.UNKNOWN, error


def test_what_failed_is_counted_as_attempted_and_where_nothing_was_acknowledged_nothing_is_said() -> None:
    for text in ("0enqueue:6 0enqueue:6! 1dequeue 1dequeue=", "0enqueue:6 0enqueue:6? 1dequeue 1dequeue=6"):
        verdict = TotalQueue().check(events(text))
        assert (verdict.status, verdict.details["attempted"]) == (Status.VACUOUS, 1)


@pytest.mark.parametrize("text", ["0enqueue 0enqueue=", "0drain 0drain=6"])
def test_what_is_no_history_of_a_queue_is_refused(text: str) -> None:
    with pytest.raises(HistoryError, match="event"):
        TotalQueue().check(events(text))


def any_answer(f: str) -> Any:
    return st.one_of(st.none(), st.integers(1, 7)) if f == "dequeue" else None


ASKS = st.sampled_from([("enqueue", "unique"), ("enqueue", "unique"), ("dequeue", None), ("dequeue", None)])


@settings(max_examples=200, deadline=None)
@given(small(ASKS, any_answer, size=8))
def test_against_every_way_in_which_missing_values_can_have_been_taken(history: list[Op]) -> None:
    operations = pair(history)
    puts = {op.invoke.value: op for op in operations if op.invoke.f == "enqueue" and op.outcome != "fail"}
    took = [op for op in operations if op.invoke.f == "dequeue" and op.outcome == "ok"]
    taken = Counter(op.completion.value for op in took if op.completion and op.completion.value is not None)
    right = all(count == 1 and value in puts for value, count in taken.items()) and all(
        puts[op.completion.value].start < (op.end or 0)
        for op in took
        if op.completion and op.completion.value in puts
    )
    empties = [op for op in took if op.completion and op.completion.value is None]
    deadlines = []
    for value, put in puts.items():
        ends = [op.end or 0 for op in empties if op.start > (put.end or 0)]
        if put.outcome == "ok" and not taken[value] and ends:
            deadlines.append(min(ends))
    doubtful = [op.start for op in operations if op.invoke.f == "dequeue" and op.outcome == "info"]
    ways = (
        all(start < deadline for start, deadline in zip(chosen, deadlines, strict=True))
        for some in combinations(doubtful, len(deadlines))
        for chosen in permutations(some)
    )
    right = right and any(ways)
    verdict = TotalQueue().check(history)
    assert (verdict.status is not Status.INVALID) == right


@settings(max_examples=200, deadline=None)
@given(small(ASKS, any_answer, size=8))
def test_what_it_convicts_is_no_fifo_queue_either(history: list[Op]) -> None:
    if TotalQueue().check(history).status is Status.INVALID:
        assert Linearizable(FifoQueue()).check(history).status is Status.INVALID


# Identifiers ---------------------------------------------------------------------------------------------


def test_identifiers() -> None:
    once = events("0generate 1generate 0generate=5 1generate=7 2generate 2generate?")
    verdict = UniqueIds().check(once)
    assert (verdict.status, verdict.details["range"]) == (Status.VALID, [5, 7])
    assert (verdict.details["attempted"], verdict.details["acknowledged"]) == (3, 2)
    verdict = UniqueIds().check([*once, *events("3generate 3generate=5")])
    assert (verdict.status, verdict.details["duplicated"], verdict.details["extra"]) == (Status.INVALID, 1, 1)
    assert [op["value"] for op in verdict.details["operations"]] == [5, 5]
    assert UniqueIds().check([]).status is Status.VACUOUS
    thrice = events("0generate 0generate=a 0generate 0generate=a " + 3 * "0generate 0generate=b ")
    told = UniqueIds().check(thrice).details
    assert (told["duplicated"], told["extra"], told["range"]) == (2, 3, ["a", "b"])
    assert told["most_often"] == [{"id": "b", "times": 3}, {"id": "a", "times": 2}]
    with pytest.raises(HistoryError, match="nil"):
        UniqueIds().check(events("0generate 0generate="))


@given(small(st.just(("generate", None)), lambda f: st.integers(0, 3)))
def test_identifiers_against_counting(history: list[Op]) -> None:
    counts = Counter(op.value for op in history if op.type == "ok")
    verdict = UniqueIds().check(history)
    assert verdict.details["duplicated"] == sum(count > 1 for count in counts.values())
