"""Simulated client operations per CPU second, harness and recording included."""

from __future__ import annotations

import tempfile
import time
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.table import Table

from harness import catalog
from harness.plan import Plan
from harness.report.artifacts import RunDir
from harness.report.live import Live
from harness.run import execute
from harness.stop import StopWish

RUNS = {
    "the default: linearizable, every fault": Plan(seed=1),
    "linearizable, every fault, five times the rate": Plan(seed=1, rate=1000),
    "linearizable, no faults": Plan(seed=1, faults=()),
    "quorum, every fault": Plan(seed=1, level="quorum"),
    "one, every fault": Plan(seed=1, level="one"),
}


def table() -> Table:
    result = Table(title="Simulator: 5 nodes, replication 3, 10 clients, 60 virtual seconds")
    for heading in ("run", "operations", "CPU s", "operations / CPU s", "virtual s / CPU s"):
        result.add_column(heading, justify="left" if heading == "run" else "right")
    for name, plan in RUNS.items():
        operations, cpu_s = _measure(plan)
        result.add_row(
            name,
            f"{operations:,}",
            f"{cpu_s:.2f}",
            f"{operations / cpu_s:,.0f}",
            f"{plan.time_limit_s / cpu_s:,.1f}",
        )
    return result


def _measure(plan: Plan) -> tuple[int, float]:
    with tempfile.TemporaryDirectory() as root:
        run_dir = RunDir(Path(root))
        pieces = catalog.assemble(plan)
        live = Live(Console(file=StringIO()), plan, pieces.requested, quiet=True)
        before = time.process_time()
        recorded = execute(plan, pieces.workload, pieces.nemesis, pieces.cluster, run_dir, live, StopWish())
        cpu_s = time.process_time() - before
    return sum(op.type == "invoke" for op in recorded.history), cpu_s
