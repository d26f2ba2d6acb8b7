"""What a demo is: it runs something, shows what was measured, and claims what must hold of it.

A claim is a sentence, the figures that it rests on, and whether these bear it out. `harness demo NAME
--assert` makes an exit code of them. Words that a demo shows are made of what this very run measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console, RenderableType

from checkers.history import Op
from harness.cluster.base import Cluster
from harness.plan import Plan, PlanError, node_names
from harness.remote.hosts import read_hosts
from harness.report import artifacts
from harness.report.live import Live
from harness.run import Faults, Work, execute
from harness.stop import StopWish

WIDTH: Final = 100
"""Columns that everything a demo shows fits into."""


class DemoError(Exception):
    """The demo could not be carried out: one sentence."""


class Claim(NamedTuple):
    text: str
    figures: str
    holds: bool


class Shown(NamedTuple):
    """`parts` are for people, `figures` (values of JSON) for programs."""

    parts: Sequence[RenderableType]
    figures: dict[str, Any]
    claims: Sequence[Claim]


class Conditions(NamedTuple):
    """Under which a demo runs. `tell` takes a line on how far it is."""

    seed: int
    cluster: str = "sim"
    nodes_file: str = ""
    lab: str = ""
    tell: Callable[[str], None] = lambda line: None

    def nodes(self, count: int) -> tuple[str, ...]:
        """So many; on `ssh` the first of the file. Raises `PlanError` if there are fewer."""
        if self.cluster != "ssh":
            return node_names(count)
        names = tuple([host.name for host in read_hosts(Path(self.nodes_file))])
        if len(names) < count:
            raise PlanError(f"--nodes-file {self.nodes_file} names {len(names)} hosts; this needs {count}")
        return names[:count]


class Demo(NamedTuple):
    """`clusters`: those it can run on. `text` is its help, with examples."""

    name: str
    summary: str
    text: str
    clusters: Sequence[str]
    run: Callable[[Conditions], Shown]


def record(demo: str, part: str, plan: Plan, work: Work, faults: Faults, cluster: Cluster) -> list[Op]:
    """The history of one run, which is also kept below `runs/DEMO/PART/`. Raises `DemoError` if it could not
    be carried out or was interrupted."""
    plan.validate()
    run_dir = artifacts.create(artifacts.ROOT / f"demo-{demo}", part, datetime.now(UTC))
    live = Live(Console(file=StringIO()), plan, quiet=True)
    with StopWish() as stop:
        recorded = execute(plan, work, faults, cluster, run_dir, live, stop)
    if recorded.interrupted_s is not None:
        raise DemoError(f"interrupted in {part}; what was recorded is in {run_dir.path}")
    if recorded.failures:
        raise DemoError(f"{part}: {recorded.failures[0]}")
    return recorded.history
