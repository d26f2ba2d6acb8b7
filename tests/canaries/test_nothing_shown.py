"""A run that shows nothing must not be called valid: its faults do not bite, its operations never succeed,
its checker gives up or fails. The same run with nothing amiss is valid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import pytest
from msgspec.structs import replace

from checkers.history import Op
from checkers.linear import Linearizable
from checkers.models import CasRegister
from checkers.verdict import Checker, Status, Verdict
from harness.cluster.base import Evidence, Grudge
from harness.cluster.sim import SimCluster
from harness.generator import Generator
from harness.generators import limit, map_ops
from harness.plan import Plan
from tests.support.judged import judged
from workloads.register import Register

FAULTS = ("partition", "kill", "pause", "clock")
NEVER_WRITTEN = -1

PLAN = Plan(faults=("partition",), fault_interval_s=2, time_limit_s=10, seed=1)


class Untouched(SimCluster):
    """Its faults do nothing, and say so."""

    async def kill(self, nodes: tuple[str, ...]) -> Evidence:
        return Evidence(False, "nothing happened")

    async def cut(self, grudge: Grudge) -> Evidence:
        return Evidence(False, "nothing happened")

    async def bump(self, offsets_ms: Mapping[str, int]) -> Evidence:
        return Evidence(False, "nothing happened")

    pause = kill


class Failing(Checker):
    name = "failing"

    def check(self, history: list[Op]) -> NoReturn:
        raise RuntimeError("out of order")


class JudgedBy(Register):
    """The register, with a checker of one's choice."""

    def __init__(self, checker: Checker) -> None:
        super().__init__("linearizable", 60)
        self._checker = checker

    def checkers(self) -> list[Checker]:
        return [self._checker]


class Hopeless(Register):
    """Every cas expects what nobody writes."""

    def generator(self, seed: int) -> Generator:
        return map_ops(self._expect_nothing_real, super().generator(seed))

    def _expect_nothing_real(self, op: Op) -> Op:
        return replace(op, value=[NEVER_WRITTEN, op.value[1]]) if op.f == "cas" else op


class Silent(Register):
    """Asks nothing."""

    def generator(self, seed: int) -> Generator:
        return limit(0, super().generator(seed))


def part(verdict: Verdict, checker: str) -> Verdict:
    return next(part for part in verdict.parts if part.checker == checker)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_run_is_valid_if_its_fault_bites_and_vacuous_if_not(fault: str, tmp_path: Path) -> None:
    plan = replace(PLAN, faults=(fault,))
    assert judged(plan, tmp_path / "1").status is Status.VALID
    untouched = judged(plan, tmp_path / "2", cluster=Untouched)
    assert untouched.status is Status.VACUOUS
    assert f"{fault} bit 0 of " in part(untouched, "faults").summary


def test_one_fault_that_does_not_bite_is_enough(tmp_path: Path) -> None:
    class HalfTouched(SimCluster):
        kill = Untouched.kill

    verdict = judged(replace(PLAN, faults=("partition", "kill")), tmp_path, cluster=HalfTouched)
    assert verdict.status is Status.VACUOUS
    assert verdict.summary.startswith("faults: ")


def test_a_kind_of_operation_that_never_succeeds_shows_nothing(tmp_path: Path) -> None:
    verdict = judged(PLAN, tmp_path, workload=Hopeless("linearizable", 60))
    assert verdict.status is Status.VACUOUS
    assert "cas succeeded" in part(verdict, "stats").summary


def test_no_operation_at_all_shows_nothing(tmp_path: Path) -> None:
    verdict = judged(replace(PLAN, faults=()), tmp_path, workload=Silent("linearizable", 60))
    assert verdict.status is Status.VACUOUS


def test_a_checker_that_fails_has_not_judged(tmp_path: Path) -> None:
    verdict = judged(PLAN, tmp_path, workload=JudgedBy(Failing()))
    assert verdict.status is Status.UNKNOWN
    assert part(verdict, "failing").summary == "the checker failed: RuntimeError: out of order"


def test_a_checker_that_gives_up_has_not_judged(tmp_path: Path) -> None:
    verdict = judged(PLAN, tmp_path, workload=JudgedBy(Linearizable(CasRegister(), steps=100)))
    assert verdict.status is Status.UNKNOWN
    assert part(verdict, "linearizable").status is Status.UNKNOWN
