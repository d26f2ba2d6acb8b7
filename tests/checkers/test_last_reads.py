from __future__ import annotations

from typing import Any

import pytest

from checkers.agreement import CopiesAgree
from checkers.history import NEMESIS, Op, Type
from checkers.last_reads import Explains, LastReads, by_elements, by_sums, by_writes
from checkers.verdict import Status, Verdict


def op(
    process: int, f: str, asked: Any, end: Type | None = "ok", told: Any = None, key: str = "k"
) -> list[Op]:
    """An operation, whole; without an `end`, left open."""
    invoked = Op(process=process, f=f, key=key, value=asked)
    return [invoked] if end is None else [invoked, Op(process=process, type=end, f=f, key=key, value=told)]


def read(process: int, told: Any, end: Type = "ok", key: str = "k") -> list[Op]:
    return op(process, "read", None, end, told, key)


def look(**copies: Any) -> list[Op]:
    return op(0, "copies", None, "ok", copies)


def check(*operations: list[Op], agree: bool = True) -> Verdict:
    return LastReads(agree).check([event for operation in operations for event in operation])


WRITE = op(0, "write", 1)
FAULT = [Op(process=NEMESIS, type="info", f="kill"), Op(process=NEMESIS, type="info", f="kill")]


def test_all_see_the_same() -> None:
    verdict = check(WRITE, read(1, 1), read(2, 1))
    assert verdict.status is Status.VALID
    assert verdict.summary == "2 clients read all 1 keys at the end and saw the same"
    assert {name: verdict.details[name] for name in ("keys", "reads", "readers", "open")} == {
        "keys": 1, "reads": 2, "readers": 2, "open": 0
    }  # fmt: skip


@pytest.mark.parametrize("old", [None, 0, [1], "1"])
def test_one_reader_that_sees_something_else_is_convicted_with_both_reads(old: Any) -> None:
    verdict = check(WRITE, read(1, 1), read(2, old), read(3, 1))
    assert verdict.status is Status.INVALID
    assert "not everybody saw the same of 'k': process 1 read 1" in verdict.summary
    assert [each["process"] for each in verdict.details["operations"]] == [1, 2]
    assert verdict.details["differ"] == ["k"]


@pytest.mark.parametrize(
    "before",
    [
        [read(1, 0), WRITE],  # before the write
        [WRITE[:1], read(1, 0), WRITE[1:]],  # beside it
        [WRITE, read(1, 0), FAULT],  # while something was wrong still
        [WRITE, FAULT, read(1, 0), look(n1=1, n2=1)],  # before the copies were seen equal
        [WRITE, FAULT, look(n1=0, n2=1), read(1, 0), look(n1=1, n2=1)],
    ],
)
def test_reads_that_are_not_the_last_ones_do_not_count(before: list[list[Op]]) -> None:
    verdict = check(*before, read(2, 1), read(3, 1))
    assert (verdict.status, verdict.details["reads"]) == (Status.VALID, 2)


def test_where_copies_were_not_seen_equal_there_are_no_last_reads() -> None:
    assert check(WRITE, look(n1=0, n2=1), read(1, 0), read(2, 1)).status is Status.UNKNOWN


@pytest.mark.parametrize("end", [None, "info"])
def test_what_may_change_still_is_not_compared_and_that_is_said(end: Type | None) -> None:
    verdict = check(
        WRITE, op(5, "write", 2, end), read(1, 1), read(2, 2), op(0, "add", 3, key="j"), read(1, 3, key="j")
    )
    assert verdict.status is Status.VALID
    assert "saw the same of 1; not compared: changes of unknown outcome (1 keys have such)" in verdict.summary


def explained(explains: Explains, *operations: list[Op]) -> Status:
    return LastReads(explains=explains).check([event for each in operations for event in each]).status


def test_registers_may_differ_by_a_write_of_unknown_outcome_only() -> None:
    unknown = op(5, "write", 2, "info")
    assert explained(by_writes, WRITE, unknown, read(1, 1), read(2, 2), read(3, 1)) is Status.VALID
    assert explained(by_writes, WRITE, unknown, read(1, 1), read(2, 0)) is Status.INVALID
    assert explained(by_writes, WRITE, unknown, read(1, 2), read(2, 1), read(3, 0)) is Status.INVALID


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ((3, 5), Status.VALID),
        ((5, 3), Status.VALID),
        ((3, 1), Status.VALID),
        ((3, 6), Status.VALID),
        ((3, 7), Status.INVALID),
        ((3, -1), Status.INVALID),
        ((3, "3"), Status.INVALID),
    ],
)
def test_counters_may_differ_by_what_unknown_additions_come_to(values: Any, status: Status) -> None:
    unknown = [op(5, "add", 2, "info", key="c"), op(6, "add", -1, None, key="c")]
    reads = [read(1 + at, value, key="c") for at, value in enumerate(values)]
    told = explained(by_sums, op(0, "add", 3, key="c"), *unknown, *reads)
    assert told is status


def test_an_increment_is_an_addition_of_one() -> None:
    increments = [op(0, "increment", None), op(5, "increment", None, "info")]
    assert explained(by_sums, *increments, read(1, 1), read(2, 2)) is Status.VALID
    assert explained(by_sums, *increments, read(1, 1), read(2, 3)) is Status.INVALID


def test_sets_may_differ_by_elements_whose_adds_are_unknown() -> None:
    adds = [op(0, "add", 1), op(5, "add", 2, "info")]
    assert explained(by_elements, *adds, read(1, [1]), read(2, [1, 2])) is Status.VALID
    assert explained(by_elements, *adds, read(1, [1, 2]), read(2, [2])) is Status.INVALID
    assert explained(by_elements, *adds, read(1, [1]), read(2, "unreadable")) is Status.INVALID


def test_what_certainly_failed_changes_nothing() -> None:
    assert check(WRITE, op(5, "write", 2, "fail"), read(1, 1), read(2, 2)).status is Status.INVALID
    assert check(op(5, "write", 2, "fail"), read(1, None)).status is Status.VACUOUS


def test_keys_that_nobody_read_at_the_end_are_named() -> None:
    verdict = check(WRITE, op(0, "write", 1, key="j"), read(1, 1), read(1, 0, "fail", "j"))
    assert verdict.status is Status.UNKNOWN
    assert verdict.summary == "nobody has read 'j' after the last change was over"
    assert verdict.details["unanswered"] == [1]


def test_whoever_got_no_answer_is_counted() -> None:
    verdict = check(WRITE, read(1, 1), read(2, None, "fail"), read(3, None, "fail"), read(3, 1))
    assert verdict.status is Status.VALID
    assert verdict.details["unanswered"] == [2]
    assert "(but 1 of those who asked got no answer about some)" in verdict.summary


def test_without_a_promise_that_all_agree_it_is_only_asked_whether_they_read() -> None:
    verdict = check(WRITE, read(1, 1), read(2, 0), agree=False)
    assert verdict.status is Status.VALID
    assert "is not judged here" in verdict.summary
    assert check(read(0, None), WRITE, agree=False).status is Status.UNKNOWN


def test_copies_that_were_asked_for_and_never_seen_are_not_told_as_equal() -> None:
    refused = op(1, "copies", None, "fail", key="j")
    equal = look(n1=1, n2=1)
    assert (
        CopiesAgree().check([*equal, *refused, *op(1, "copies", None, "ok", {"n1": 0}, "j")]).status
        is Status.VALID
    )
    verdict = CopiesAgree().check([*equal, *refused])
    assert (verdict.status, verdict.details["unseen"]) == (Status.UNKNOWN, ["j"])


def test_nothing_at_all_is_vacuous() -> None:
    assert check().status is Status.VACUOUS
    assert check(read(1, None)).status is Status.VACUOUS
    assert check(WRITE).status is Status.VACUOUS
