from __future__ import annotations

import pytest

from checkers.availability import Availability
from checkers.history import Op
from checkers.verdict import Status


def asked(outcomes: str) -> list[Op]:
    """One read a letter: o(k), f(ail, mismatch), u(navailable), ?(info), -(never completed)."""
    events = []
    for process, outcome in enumerate(outcomes):
        events.append(Op(time=process * 10**9, process=process, f="read", key="k"))
        if outcome != "-":
            kind = {"o": "ok", "f": "fail", "u": "fail", "?": "info"}[outcome]
            error = {"f": "mismatch", "u": "unavailable", "?": "timeout"}.get(outcome)
            events.append(Op(process=process, type=kind, f="read", key="k", error=error))  # type: ignore[arg-type]
    return events


def test_a_store_that_answered_was_available_even_if_it_said_no() -> None:
    verdict = Availability(lambda invoke, completion: True).check(asked("of"))
    assert verdict.status is Status.VALID
    assert verdict.details == {"expected": 2, "served": 2, "fraction": 1.0, "required": 0.95, "missed": []}


def test_too_few_served_is_invalid_and_names_the_first() -> None:
    verdict = Availability(lambda invoke, completion: True, required=0.75).check(asked("ou?-"))
    assert verdict.status is Status.INVALID
    assert verdict.summary == (
        "served 1 of the 4 operations that should have been (25.0%, less than 75.0%); "
        "first process 1's read of key k at 1.000 s, which ended as fail (unavailable)"
    )
    assert [each["invoke"]["process"] for each in verdict.details["missed"]] == [1, 2, 3]
    assert verdict.details["missed"][2]["completion"] is None


def test_exactly_the_required_fraction_is_enough() -> None:
    assert (
        Availability(lambda invoke, completion: True, required=0.75).check(asked("oo?o")).status
        is Status.VALID
    )


def test_what_should_not_have_been_served_is_not_judged() -> None:
    verdict = Availability(lambda invoke, completion: invoke.process == 0).check(asked("ou??"))
    assert (verdict.status, verdict.details["expected"]) == (Status.VALID, 1)


def test_nothing_expected_is_nothing_wrong_and_says_so() -> None:
    verdict = Availability(lambda invoke, completion: False).check(asked("oo"))
    assert (verdict.status, verdict.summary) == (Status.VALID, "not judged: no operation had to be served")


def test_who_served_is_up_to_the_caller() -> None:
    verdict = Availability(lambda invoke, completion: True, served=lambda op: op.error == "unavailable")
    assert verdict.check(asked("u")).status is Status.VALID


def test_the_required_fraction_is_one() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, not 95"):
        Availability(lambda invoke, completion: True, required=95)
