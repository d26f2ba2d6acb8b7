"""Every broken store is convicted by the checker that must notice, in a run made as `harness run` makes it;
and the correct store is acquitted in the same settings."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest
from msgspec.structs import replace

from checkers.history import Op
from checkers.verdict import Status, Verdict
from harness.cluster.sim import SimOptions
from harness.generator import Generator
from harness.generators import map_ops
from harness.plan import Plan, node_names
from harness.sim.network import NetworkOptions
from store.core.messages import Body, Delete
from store.core.node import Node
from tests.canaries import mutants
from tests.support.judged import judged
from workloads.register import Register


class DeletingRegister(Register):
    """A third of the writes are deletions, which write nil."""

    def generator(self, seed: int) -> Generator:
        return map_ops(self._delete_some, super().generator(seed))

    def encode(self, op: Op) -> Body:
        if op.f == "write" and op.value is None:
            assert op.key is not None
            return Delete(op.key, self._level)
        return super().encode(op)

    def _delete_some(self, op: Op) -> Op:
        return replace(op, value=None) if op.f == "write" and op.value % 3 == 0 else op


class Setting(NamedTuple):
    """Where a store shows what it is. `owed`: the checkers who find nothing wrong with a correct store there;
    at some levels that rests on what the setting leaves out."""

    plan: Plan
    options: SimOptions = SimOptions()
    deletes: bool = False
    owed: tuple[str, ...] = ("linearizable", "availability", "stats", "faults")

    def run(self, make: type[Node], seed: int, run_dir: Path) -> dict[str, Verdict]:
        """Each checker's verdict, by its name."""
        plan = replace(self.plan, seed=seed)
        workload = DeletingRegister(plan.level, plan.analysis_limit_s) if self.deletes else None
        verdict = judged(plan, run_dir, make=make, options=self.options, workload=workload)
        return {part.checker: part for part in verdict.parts}


CONTENTION = Plan(nodes=node_names(3), faults=(), time_limit_s=3, rate=1000, concurrency=20, op_timeout_s=0.5)
ALL = replace(CONTENTION, level="all")
KILLS = replace(CONTENTION, faults=("kill:all",), fault_interval_s=0.3, time_limit_s=8)
LOSS = SimOptions(network=NetworkOptions(loss_fraction=0.05, duplicate_fraction=0.2))
LATE_AND_TWICE = SimOptions(network=NetworkOptions(delay_mean_us=4000, duplicate_fraction=0.3))
AT_ANY_TIME = SimOptions(network=NetworkOptions(delay_min_us=0, delay_mean_us=10_000))

SETTINGS = {
    "contention": Setting(CONTENTION),
    "loss": Setting(CONTENTION, LOSS),
    "kills": Setting(KILLS),
    # Who reads all replicas sees every write that any of them has: then last-write-wins is linearizable.
    "all": Setting(ALL, AT_ANY_TIME),
    "all, clocks": Setting(replace(ALL, faults=("clock",), fault_interval_s=0.5)),
    "all, deletions": Setting(ALL, LATE_AND_TWICE, deletes=True),
    "write one, read all": Setting(replace(CONTENTION, level="r=3,w=1"), LATE_AND_TWICE),
    # A client that is alone sees its own writes, as R + W > N.
    "quorum, one client": Setting(
        replace(CONTENTION, level="quorum", nodes=node_names(5), concurrency=1, time_limit_s=30), AT_ANY_TIME
    ),
    "one, halves": Setting(
        Plan(level="one", faults=("partition:halves",), time_limit_s=20),
        owed=("availability", "stats", "faults"),
    ),
}


SEEDS = range(6)
"""A broken store has so many chances to show; most show at the first or second."""


class Canary(NamedTuple):
    """`noticed_by`: who must convict it."""

    mutant: type[Node]
    setting: str
    noticed_by: str = "linearizable"


CANARIES = (
    Canary(mutants.AcceptsWhateverItPromised, "contention"),
    Canary(mutants.AcknowledgesBeforeItAsks, "contention"),
    Canary(mutants.AdoptsWhatCameFirst, "contention"),
    Canary(mutants.AnswersBeforeItIsDurable, "kills"),
    Canary(mutants.AppliesItsChangeOnEveryRetry, "loss"),
    Canary(mutants.AsksAQuorumAtOne, "one, halves", "availability"),
    Canary(mutants.CallsAQuorumAll, "all"),
    Canary(mutants.CountsAnAnswerTwice, "loss"),
    Canary(mutants.DeniesWhatItMayHaveDone, "loss"),
    Canary(mutants.DropsEveryFifthRequest, "contention", "availability"),
    Canary(mutants.ForgetsPromises, "contention"),
    Canary(mutants.ForgetsTombstones, "all, deletions"),
    Canary(mutants.IgnoresTheExpectation, "contention"),
    Canary(mutants.LastToArriveWins, "write one, read all"),
    Canary(mutants.LosesTombstones, "all, deletions"),
    Canary(mutants.NeverMatches, "contention"),
    Canary(mutants.NumbersFromTheStartAgain, "kills"),
    Canary(mutants.ReadsWhatOneHasAccepted, "contention"),
    Canary(mutants.StampsByTheWallClock, "all, clocks"),
    Canary(mutants.WritesToOneAtQuorum, "quorum, one client"),
)


@pytest.mark.parametrize("canary", CANARIES, ids=[canary.mutant.__name__ for canary in CANARIES])
def test_a_broken_store_is_convicted(canary: Canary, tmp_path: Path) -> None:
    setting = SETTINGS[canary.setting]
    verdicts = (setting.run(canary.mutant, seed, tmp_path / str(seed))[canary.noticed_by] for seed in SEEDS)
    assert any(verdict.status is Status.INVALID for verdict in verdicts), canary.mutant.__doc__


@pytest.mark.parametrize("name", SETTINGS)
def test_the_correct_store_is_acquitted_where_broken_ones_are_not(name: str, tmp_path: Path) -> None:
    setting = SETTINGS[name]
    for seed in SEEDS[:2]:
        verdicts = setting.run(Node, seed, tmp_path / str(seed))
        for checker in setting.owed:
            assert verdicts[checker].status is Status.VALID, verdicts[checker].summary


def test_every_broken_store_is_a_canary() -> None:
    defined = {
        mutant
        for name, mutant in vars(mutants).items()
        if isinstance(mutant, type) and mutant.__module__ == mutants.__name__ and not name.startswith("_")
    }
    assert {canary.mutant for canary in CANARIES} == defined
