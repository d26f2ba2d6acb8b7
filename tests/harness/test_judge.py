"""From histories and files to verdicts, where the history is not what one would expect."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from checkers.history import NEMESIS, HistoryError, Op
from checkers.verdict import Checker, Status
from harness.check import Reading
from harness.judge import judge
from harness.plan import Plan
from workloads.register import Register

PLAN = Plan(faults=("partition",))
REGISTER = Register("linearizable", 60)
DONE = [
    Op(0, 0, 0, "invoke", "write", "r0", 1),
    Op(1, 1, 0, "ok", "write", "r0", 1),
]


@pytest.mark.parametrize("value", [{"grudge": 5}, {"grudge": {"n1": 7}}, {"nodes": 5}, {"nodes": [[1]]}])
def test_faults_that_make_no_sense_leave_availability_unknown(value: object) -> None:
    fault = Op(process=NEMESIS, type="info", f="partition", value=value)
    history = [*DONE, fault, fault]
    verdict = judge(PLAN, REGISTER.checkers(), REGISTER, (), history).verdict
    assert verdict.status is Status.UNKNOWN
    assert verdict.summary.startswith("availability: the checker failed: TypeError")


def test_what_is_not_a_regular_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="not a regular file"):
        Reading().judge(str(tmp_path))


ASKED = '{"process":0,"f":"%s","value":%s,"type":"invoke"}\n{"process":0,"f":"%s","value":%s,"type":"%s"}\n'


@pytest.mark.parametrize(
    ("events", "is_empty"),
    [
        (ASKED % ("read", "null", "read", "null", "ok"), False),
        (ASKED % ("write", 1, "write", 1, "ok"), True),
        (ASKED % ("read", "null", "read", "null", "fail"), True),
        (ASKED % ("read", "null", "read", "null", "info"), True),
        (ASKED % ("cas", "[1,2]", "cas", "[1,2]", "fail"), True),
        (
            (ASKED % ("cas", "[1,2]", "cas", "[1,2]", "fail")).replace('"fail"', '"fail","error":"mismatch"'),
            False,
        ),
    ],
)
def test_of_a_history_in_which_nobody_was_told_anything_that_is_said(
    tmp_path: Path, events: str, is_empty: bool
) -> None:
    (tmp_path / "h.jsonl").write_text(events)
    verdict = Reading("cas-register").judge(str(tmp_path / "h.jsonl"))
    assert verdict.status is Status.VALID
    assert ("but nobody was told anything" in verdict.summary) == is_empty


def test_every_checker_is_watched_also_those_that_every_workload_has() -> None:
    seen: list[str] = []

    def watched(checkers: Sequence[Checker]) -> list[Checker]:
        seen.extend(checker.name for checker in checkers)
        return list(checkers)

    judge(PLAN, REGISTER.checkers(), REGISTER, (), DONE, watched)
    assert seen == ["linearizable", "availability", "recovery", "stats", "faults"]
