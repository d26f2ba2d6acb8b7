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


def everything(invoke: Op, completion: Op | None) -> tuple[str, ...]:
    return ("all",)


def nothing(invoke: Op, completion: Op | None) -> tuple[str, ...]:
    return ()


def test_a_store_that_answered_was_available_even_if_it_said_no() -> None:
    verdict = Availability(everything).check(asked("of"))
    assert verdict.status is Status.VALID
    assert verdict.details == {
        "expected": 2,
        "served": 2,
        "fraction": 1.0,
        "required": 0.95,
        "worst_group": None,
        "missed": [],
    }


def test_too_few_served_is_invalid_and_names_the_first() -> None:
    verdict = Availability(everything, required=0.75).check(asked("ou?-"))
    assert verdict.status is Status.INVALID
    assert verdict.summary == (
        "served 1 of the 4 operations that should have been (25.0%, less than 75.0%); "
        "first process 1's read of key k at 1.000 s, which ended as fail (unavailable)"
    )
    assert [each["invoke"]["process"] for each in verdict.details["missed"]] == [1, 2, 3]
    assert verdict.details["missed"][2]["completion"] is None


def test_exactly_the_required_fraction_is_enough() -> None:
    assert Availability(everything, required=0.75).check(asked("oo?o")).status is Status.VALID
    few = "o" * 14 + "?" * 36  # 0.28 * 50 is a little more than 14 in floating point
    one_each = Availability(lambda invoke, completion: (str(invoke.process),), required=0.28)
    assert one_each.check(asked(few)).status is Status.VALID
    assert one_each.check(asked(few[1:] + "?")).status is Status.INVALID


def test_what_should_not_have_been_served_is_not_judged() -> None:
    verdict = Availability(lambda invoke, completion: ("all",) if invoke.process == 0 else ()).check(
        asked("ou??")
    )
    assert (verdict.status, verdict.details["expected"]) == (Status.VALID, 1)


def test_nothing_expected_is_nothing_wrong_and_says_so() -> None:
    verdict = Availability(nothing).check(asked("oo"))
    assert (verdict.status, verdict.summary) == (Status.VALID, "not judged: no operation had to be served")


def by_side(invoke: Op, completion: Op | None) -> tuple[str, ...]:
    return ("n1", "n1 from 8.4 s") if isinstance(invoke.process, int) and invoke.process >= 200 else ("n2",)


def test_a_side_that_answers_hardly_anybody_is_convicted_though_it_was_asked_little() -> None:
    verdict = Availability(by_side).check(asked("o" * 200 + "o????"))
    assert verdict.status is Status.INVALID
    assert "but only 1 of 5 at n1; first process 201's read" in verdict.summary
    assert verdict.details["worst_group"] == {"group": "n1", "expected": 5, "served": 1}


@pytest.mark.parametrize("few", ["????", "ooo??", "ooo???"])
def test_a_side_is_not_judged_by_a_handful_nor_for_a_minority(few: str) -> None:
    assert Availability(by_side).check(asked("o" * 200 + few)).status is Status.VALID


def test_who_served_is_up_to_the_caller() -> None:
    verdict = Availability(everything, served=lambda op: op.error == "unavailable")
    assert verdict.check(asked("u")).status is Status.VALID


def test_the_required_fraction_is_one() -> None:
    with pytest.raises(ValueError, match=r"between 0 and 1, not 95"):
        Availability(everything, required=95)
