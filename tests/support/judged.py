"""A whole simulated run and its verdict, by the path that `harness run` takes, of a store of one's choice."""

from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path

from rich.console import Console

from checkers.verdict import Verdict
from harness import catalog
from harness.cluster.sim import SimCluster, SimOptions
from harness.judge import judge
from harness.plan import Plan
from harness.report.artifacts import RunDir
from harness.report.live import Live
from harness.run import execute
from harness.sim.host import MakeMachine
from harness.stop import StopWish
from store.core.node import Node
from workloads.base import Workload

ORDINARY = SimOptions()


def judged(
    plan: Plan,
    run_dir: Path,
    *,
    make: MakeMachine = Node,
    options: SimOptions = ORDINARY,
    cluster: Callable[..., SimCluster] = SimCluster,
    workload: Workload | None = None,
) -> Verdict:
    """The verdict on `plan`, run on nodes made by `make`, with `workload` instead of its own if given."""
    run_dir.mkdir(parents=True, exist_ok=True)
    pieces = catalog.assemble(plan)
    work = workload or pieces.workload
    nodes = cluster(plan.nodes, plan.replication, plan.seed, options, make)
    live = Live(Console(file=StringIO()), plan, quiet=True)
    recorded = execute(plan, work, pieces.nemesis, nodes, RunDir(run_dir), live, StopWish())
    assert not recorded.failures, recorded.failures
    return judge(plan, work.checkers(), work, pieces.requested, recorded.history).verdict
