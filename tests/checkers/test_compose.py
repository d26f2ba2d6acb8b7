from __future__ import annotations

import pytest

from checkers.compose import check_all
from checkers.history import Op
from checkers.verdict import Status, Verdict


class Says:
    def __init__(self, name: str, status: Status) -> None:
        self.name = name
        self.status = status

    def check(self, history: list[Op]) -> Verdict:
        return Verdict(self.name, self.status, f"{len(history)} events")


class Crashes:
    name = "crashes"

    def check(self, history: list[Op]) -> Verdict:
        raise ZeroDivisionError("by nothing")


def test_a_checker_that_crashes_is_unknown_and_the_others_still_judge() -> None:
    verdict = check_all([Crashes(), Says("a", Status.VALID)], [])
    assert verdict.status is Status.UNKNOWN
    assert verdict.summary == "crashes: the checker failed: ZeroDivisionError: by nothing"
    assert [part.status for part in verdict.parts] == [Status.UNKNOWN, Status.VALID]


@pytest.mark.parametrize("worse", [Status.INVALID, Status.UNKNOWN, Status.VACUOUS])
def test_the_worst_part_decides_and_speaks(worse: Status) -> None:
    verdict = check_all([Says("a", Status.VALID), Says("b", worse), Says("c", worse)], [Op()], name="run")
    assert (verdict.checker, verdict.status) == ("run", worse)
    assert verdict.summary == "b: 1 events; c: 1 events"


def test_a_crash_does_not_hide_a_violation() -> None:
    assert check_all([Crashes(), Says("a", Status.INVALID)], []).status is Status.INVALID
