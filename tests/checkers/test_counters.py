from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from checkers.counters import CounterBounds
from checkers.history import HistoryError, Op, pair
from checkers.monotonic import Monotonic
from checkers.verdict import Status
from tests.support.containers import at_last, events, recorded, small


def correct(seed: int, down: bool = True, size: int = 60) -> list[Op]:
    state = [0]

    def ask(rng: Random, number: int) -> tuple[str, Any]:
        amount = rng.randrange(1, 5)
        if rng.random() < 0.5:
            return "read", None
        return "add", -amount if down and rng.random() < 0.3 else amount

    def answer(state: list[int], f: str, value: Any) -> Any:
        if f == "add":
            state[0] += value
            return value
        return state[0]

    return at_last(recorded(Random(seed), state, ask, answer, size), Op(f="read"), state[0])


@pytest.mark.parametrize("seed", range(50))
def test_a_correct_counter_is_acquitted(seed: int) -> None:
    for down in (True, False):
        assert CounterBounds().check(correct(seed, down)).status is Status.VALID
    assert Monotonic().check(correct(seed, down=False)).status is Status.VALID


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("by", [-300, 300])
def test_a_read_that_is_out_of_bounds_is_convicted(seed: int, by: int) -> None:
    history = correct(seed)
    reads = [at for at, op in enumerate(history) if op.f == "read" and op.type == "ok"]
    at = Random(seed).choice(reads[:-1])
    broken = [*history[:at], replace(history[at], value=history[at].value + by), *history[at + 1 :]]
    verdict = CounterBounds().check(broken)
    assert (verdict.status, verdict.details["out_of_bounds"]) == (Status.INVALID, 1)
    assert verdict.details["operations"][0]["value"] == broken[at].value
    assert CounterBounds(every_read=False).check(broken).status is Status.VALID


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("0add:3 0add:3= 1read 1read={}", {3}),
        ("0add:3 0add:3! 1read 1read={}", {0}),
        ("0add:3 0add:3? 1read 1read={}", {0, 3}),
        ("0add:3 1read 1read={} 0add:3=", {0, 3}),
        ("1read 0add:3 0add:3= 1read={}", {0, 3}),
        ("0add:3 0add:3? 2add:-2 2add:-2= 1read 1read={}", {-2, 1}),
        ("0add:-3 0add:-3? 2add:2 2add:2= 1read 1read={}", {-1, 2}),
    ],
)
def test_what_a_read_may_tell(text: str, values: set[int]) -> None:
    for value in range(min(values) - 2, max(values) + 3):
        verdict = CounterBounds().check(events(text.format(value)))
        assert (verdict.status is not Status.INVALID) == (min(values) <= value <= max(values)), value


def test_the_last_values_are_judged_in_any_case() -> None:
    copies = [Op(2, 2, 5, "invoke", "copies"), Op(3, 3, 5, "ok", "copies", None, {"n1": 3, "n2": 1})]
    verdict = CounterBounds(every_read=False).check([*events("0add:3 0add:3="), *copies, *_read(3)])
    assert verdict.status is Status.INVALID
    assert "n2" in verdict.summary
    verdict = CounterBounds(every_read=False).check([*events("0add:3 0add:3="), *_read(1)])
    assert verdict.status is Status.INVALID


def test_copies_that_were_not_equal_yet_are_no_reads() -> None:
    early = [Op(9, 9, 5, "invoke", "copies"), Op(9, 9, 5, "ok", "copies", None, {"n1": 3, "n2": 0})]
    late = [Op(9, 9, 5, "invoke", "copies"), Op(9, 9, 5, "ok", "copies", None, {"n1": 3, "n2": 3})]
    history = [*events("0add:3 0add:3="), *early, *late, *_read(3)]
    assert CounterBounds().check(history).status is Status.VALID
    assert CounterBounds().check([*history[:4], *_read(3)]).status is Status.INVALID


def test_before_the_last_look_at_the_copies_a_stale_read_is_told() -> None:
    looked = [Op(9, 9, 5, "invoke", "copies"), Op(9, 9, 5, "ok", "copies", None, {"n1": 3, "n2": "Failed()"})]
    verdict = CounterBounds(every_read=False).check(
        [*events("0add:3 0add:3="), *_read(1), *looked, *_read(3)]
    )
    assert verdict.status is Status.VALID
    assert verdict.details["out_of_bounds"] == 1
    assert "allowed" in verdict.summary


def _read(value: int) -> list[Op]:
    return [Op(9, 9, 7, "invoke", "read"), Op(9, 9, 7, "ok", "read", None, value)]


def test_where_acknowledged_additions_may_be_lost_only_what_nobody_added_is_wrong() -> None:
    checker = CounterBounds(keeps_acknowledged=False)
    for value, status in ((-2, Status.VALID), (0, Status.VALID), (3, Status.VALID), (4, Status.INVALID)):
        verdict = checker.check([*events("0add:3 0add:3= 0add:-2 0add:-2="), *_read(value)])
        assert verdict.status is status, value


def test_nothing_is_said_of_what_nobody_read_at_last() -> None:
    unread = events("0read 0read=0 0add:3 0add:3=")
    assert CounterBounds().check(unread).status is Status.UNKNOWN
    assert CounterBounds().check([]).status is Status.VACUOUS
    assert CounterBounds().check(events("0read 0read=0")).status is Status.VACUOUS


def test_what_was_not_acknowledged_keeps_no_read_from_being_the_last() -> None:
    history = events("0add:3 0add:3= 1add:2 2read 2read=3 1add:2?")
    assert CounterBounds().check(history).status is Status.VALID


def test_a_look_at_the_copies_before_the_last_addition_is_not_judged() -> None:
    look = [Op(9, 9, 5, "invoke", "copies"), Op(9, 9, 5, "ok", "copies", None, {"n1": 0})]
    more = [replace(op, process=8) for op in events("0add:2 0add:2=")]
    history = [*events("0add:3 0add:3="), *look, *more, *_read(5)]
    assert CounterBounds().check(history).status is Status.VALID


def test_the_value_that_is_furthest_off_is_told_first() -> None:
    worst = CounterBounds().check(events("0read 0read=1 0read 0read=-9 0read 0read=5")).details["worst"]
    assert [each["value"] for each in worst] == [-9, 5, 1]


def test_where_no_addition_was_acknowledged_every_answer_is_possible_and_none_says_anything() -> None:
    for text in ("0add:3 0add:3? 1read 1read=0", "0add:3 0add:3! 1read 1read=0", "0add:3 0add:3?"):
        assert CounterBounds().check(events(text)).status is Status.VACUOUS
    both = [*events("0add:3 0add:3="), *_read(3)]
    other = [replace(op, key="other", process=6) for op in events("0add:2 0add:2?")]
    assert CounterBounds().check([*both, *other]).status is Status.VALID, "nobody had to read it"


def test_a_look_at_the_copies_is_a_reading() -> None:
    look = [Op(9, 9, 5, "invoke", "copies"), Op(9, 9, 5, "ok", "copies", None, {"n1": 3})]
    verdict = CounterBounds().check([*events("0add:3 0add:3="), *look])
    assert (verdict.status, verdict.details["final"]) == (
        Status.VALID,
        {"": {"low": 3, "high": 3, "values": [3]}},
    )
    odd: list[Any] = [None, [3], {}]
    for told in odd:
        with pytest.raises(HistoryError, match="look at copies"):
            CounterBounds().check([*events("0add:3 0add:3="), look[0], replace(look[1], value=told)])


@pytest.mark.parametrize("text", ["0add:x 0add:x=", "0read 0read=x", "0read 0read=[1]"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(HistoryError, match="whole number"):
        CounterBounds().check(events(text))
    with pytest.raises(HistoryError, match="whole number"):
        CounterBounds().check([Op(process=0, f="add", value=True)])


def any_answer(f: str) -> Any:
    return st.integers(-3, 5) if f == "read" else None


AMOUNTS = st.sampled_from([("add", 1), ("add", 2), ("add", -1), ("read", None), ("read", None)])


@settings(max_examples=200, deadline=None)
@given(small(AMOUNTS, any_answer))
def test_bounds_against_every_choice_of_what_counts(history: list[Op]) -> None:
    operations = pair(history)
    adds = [op for op in operations if op.invoke.f == "add" and op.outcome != "fail"]
    right = True
    for read in operations:
        if read.invoke.f != "read" or read.outcome != "ok":
            continue
        sums = []
        for counted in product((False, True), repeat=len(adds)):
            sure = [add.outcome == "ok" and (add.end or 0) < read.start for add in adds]
            begun = [add.start < (read.end or 0) for add in adds]
            if all(s <= c <= b for s, c, b in zip(sure, counted, begun, strict=True)):
                sums.append(sum(add.invoke.value for add, c in zip(adds, counted, strict=True) if c))
        right = right and min(sums) <= read.value <= max(sums)
    assert (CounterBounds().check(history).status is not Status.INVALID) == right


# Monotonic -----------------------------------------------------------------------------------------------


def test_a_counter_that_goes_back_is_convicted_with_both_reads() -> None:
    verdict = Monotonic().check(events("0read 0read=5 1read 1read=4"))
    assert verdict.status is Status.INVALID
    assert [op["value"] for op in verdict.details["operations"]] == [5, 4]
    assert verdict.details["back_in_session"] == 0
    assert Monotonic().check(events("0read 0read=5 0read 0read=4")).details["back_in_session"] == 1


def test_concurrent_reads_may_tell_what_they_like() -> None:
    assert Monotonic().check(events("0read 1read 0read=5 1read=4")).status is Status.VALID


def test_an_increment_that_is_answered_with_a_number_counts_as_a_look() -> None:
    history = events("0increment 0increment=5 1read 1read=4")
    assert Monotonic().check(history).status is Status.INVALID
    history = [replace(op, value=None) if op.f == "increment" else op for op in history]
    assert Monotonic().check(history).status is Status.VACUOUS
    with pytest.raises(HistoryError, match="whole number"):
        Monotonic().check(events("0read 0read=x"))


def test_an_increment_that_is_answered_with_what_others_had_seen_before_found_less() -> None:
    verdict = Monotonic().check(events("0increment 0increment=5 1increment 1increment=5"))
    assert verdict.status is Status.INVALID
    assert "process 1 found 4 after process 0 had seen 5" in verdict.summary
    assert Monotonic().check(events("0read 0read=5 1increment 1increment=6")).status is Status.VALID
    by_three = [
        replace(op, value=3) if op.f == "increment" and op.type == "invoke" else op
        for op in events("0read 0read=5 1increment 1increment=7")
    ]
    assert Monotonic().check(by_three).details["worst"][0]["by"] == 1


@settings(max_examples=150, deadline=None)
@given(small(st.sampled_from([("read", None), ("increment", None)]), lambda f: st.integers(0, 4)))
def test_monotonic_against_every_pair(history: list[Op]) -> None:
    looks = [op for op in pair(history) if op.outcome == "ok"]
    found = {op.start: op.value - (op.invoke.f == "increment") for op in looks}
    pairs = [(a, b) for a in looks for b in looks if (a.end or 0) < b.start and a.value > found[b.start]]
    verdict = Monotonic().check(history)
    assert verdict.details["back"] == len({b.start for _, b in pairs})
    own = {b.start for a, b in pairs if a.invoke.process == b.invoke.process}
    assert verdict.details["back_in_session"] == len(own)
