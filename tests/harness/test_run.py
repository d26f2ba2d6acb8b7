"""Runs that end early: by what nobody has foreseen, or told to stop before they began."""

from __future__ import annotations

import json
import time
from io import StringIO
from pathlib import Path

import pytest
import trio
from rich.console import Console

from checkers.formats import read_history
from harness import catalog, conclude
from harness.cli import main
from harness.cluster.base import NodeState, NotSent, Session
from harness.cluster.sim import SimCluster, SimOptions
from harness.plan import Plan
from harness.report.artifacts import RunDir
from harness.report.live import Live
from harness.run import execute
from harness.stillness import STILL_S, told
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


class Still(Slow):
    """While its first client connects, everything stands still; then its node ends."""

    was_asked = False

    async def setup(self, run_dir: Path) -> None:
        pass

    async def connect(self, node: str) -> Session:
        if not self.was_asked:
            time.sleep(STILL_S + 0.1)  # noqa: ASYNC251 (nobody may run meanwhile)
        self.was_asked = True
        raise NotSent("there is no node")

    def unexpected_deaths(self) -> list[str]:
        return ["node n1 ended"] if self.was_asked else []


def test_that_the_harness_stood_still_is_recorded_told_and_kept_also_when_it_is_judged_again(
    tmp_path: Path,
) -> None:
    pieces = catalog.assemble(PLAN)
    live = Live(Console(file=StringIO()), PLAN, quiet=True)
    cluster = Still(StopWish())
    run_dir = RunDir(tmp_path)
    recorded = execute(PLAN, pieces.workload, pieces.nemesis, cluster, run_dir, live, StopWish())
    ((began_s, ended_s),) = recorded.stood_still
    assert ended_s - began_s > STILL_S
    summary = conclude.judged(PLAN, pieces.workload, pieces.requested, recorded, run_dir)
    assert summary.notes == told(recorded.stood_still)
    (availability,) = [part for part in summary.verdict.parts if part.checker == "availability"]
    assert availability.details["expected"] == 0
    run_dir.write_plan(PLAN)
    for _ in range(2):  # of a run that was killed, and of one that has results
        main(["analyze", str(tmp_path)])
        again = json.loads(run_dir.results.read_bytes())
        assert again["stood_still"] == [[began_s, ended_s]]
        assert again["notes"] == summary.notes


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
