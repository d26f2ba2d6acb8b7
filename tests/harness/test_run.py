"""Runs that end early: by what nobody has foreseen, or told to stop before they began."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
import trio
from rich.console import Console

from checkers.formats import read_history
from harness import catalog, conclude
from harness.cluster.base import NodeState, NotSent, Session
from harness.cluster.sim import SimCluster, SimOptions
from harness.plan import Plan
from harness.report.artifacts import RunDir
from harness.report.live import Live
from harness.run import execute
from harness.stop import StopWish
from store.core.machine import Effect, Input
from store.core.node import Node

PLAN = Plan(faults=(), time_limit_s=5, seed=1)


class Tired(Node):
    """Fails after some thousand inputs."""

    steps = 0

    def step(self, event: Input, now: int, wall: int) -> list[Effect]:
        self.steps += 1
        if self.steps > 1000:
            raise ZeroDivisionError("tired")
        return super().step(event, now, wall)


def test_what_was_recorded_before_a_bug_is_kept(tmp_path: Path) -> None:
    pieces = catalog.assemble(PLAN)
    cluster = SimCluster(PLAN.nodes, PLAN.replication, PLAN.seed, SimOptions(), Tired)
    run_dir = RunDir(tmp_path)
    live = Live(Console(file=StringIO()), PLAN, quiet=True)
    with pytest.raises(ZeroDivisionError) as caught:
        execute(PLAN, pieces.workload, pieces.nemesis, cluster, run_dir, live, StopWish())
    assert "node n" in caught.value.__notes__[0]
    assert len(read_history(run_dir.history)) > 100


class Slow:
    """A cluster that takes for ever to set up."""

    name = "slow"
    nodes = PLAN.nodes

    def __init__(self, stop: StopWish) -> None:
        self._stop = stop
        self.was_torn_down = False

    async def setup(self, run_dir: Path) -> None:
        self._stop.wished = True
        await trio.sleep_forever()

    async def connect(self, node: str) -> Session:
        raise NotSent("there is no node")

    def states(self) -> dict[str, NodeState]:
        return {}

    def unexpected_deaths(self) -> list[str]:
        return []

    async def teardown(self) -> None:
        self.was_torn_down = True


def test_a_wish_to_stop_is_heard_while_the_cluster_is_being_set_up(tmp_path: Path) -> None:
    pieces = catalog.assemble(PLAN)
    stop = StopWish()
    cluster = Slow(stop)
    live = Live(Console(file=StringIO()), PLAN, quiet=True)
    recorded = execute(PLAN, pieces.workload, pieces.nemesis, cluster, RunDir(tmp_path), live, stop)
    assert cluster.was_torn_down
    assert (recorded.history, recorded.interrupted_s, recorded.failures) == ([], 0.0, [])


class Telling(Slow):
    async def setup(self, run_dir: Path) -> None:
        pass

    def unexpected_deaths(self) -> list[str]:
        return ["node n2 ended"]

    def notes(self) -> list[str]:
        return ["n1: taken up again"]


def test_what_a_cluster_has_to_tell_of_itself_is_recorded_with_why_the_run_failed(tmp_path: Path) -> None:
    pieces = catalog.assemble(PLAN)
    live = Live(Console(file=StringIO()), PLAN, quiet=True)
    cluster = Telling(StopWish())
    run_dir = RunDir(tmp_path)
    recorded = execute(PLAN, pieces.workload, pieces.nemesis, cluster, run_dir, live, StopWish())
    assert (recorded.failures, recorded.notes) == (["node n2 ended"], ["n1: taken up again"])
    assert (
        "n1: taken up again"
        in conclude.judged(PLAN, pieces.workload, pieces.requested, recorded, run_dir).notes
    )
