"""What a demo is: it runs something, shows what was measured, and claims what must hold of it.

A claim is a sentence, the figures that it rests on, and whether these bear it out. `harness demo NAME
--assert` makes an exit code of them. Words that a demo shows are made of what this very run measured.

Where a demo runs the store, each of its parts leaves what `harness run` leaves, and the plan says of which
demo's part it is; what its clients ask and what goes wrong no other command can say.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, Final, NamedTuple

from rich.console import Console, RenderableType

from checkers.history import Op
from harness import conclude
from harness.catalog import Pieces
from harness.plan import Plan, PlanError, node_names
from harness.remote.hosts import read_hosts
from harness.report import artifacts
from harness.report.live import Live
from harness.run import execute
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
    """Under which a demo runs. `tell` takes a line on how far it is; `argv` is how it was asked for."""

    seed: int
    cluster: str = "sim"
    nodes_file: str = ""
    lab: str = ""
    tell: Callable[[str], None] = lambda line: None
    argv: tuple[str, ...] = ()

    def nodes(self, count: int) -> tuple[str, ...]:
        """So many; on `ssh` the first of the file. Raises `PlanError` if there are fewer."""
        if self.cluster != "ssh":
            return node_names(count)
        names = tuple([host.name for host in read_hosts(Path(self.nodes_file))])
        if len(names) < count:
            raise PlanError(f"--nodes-file {self.nodes_file} names {len(names)} hosts; this needs {count}")
        return names[:count]


def no_parts(plan: Plan, part: str) -> Pieces:
    """The `assemble` of a demo that leaves no runs."""
    raise KeyError(part)


class Demo(NamedTuple):
    """`clusters`: those it can run on. `text` is its help, with examples. `assemble` makes what the plan of
    one of its parts names, by that plan and the part's name; KeyError or ValueError if they fit nothing."""

    name: str
    summary: str
    text: str
    clusters: Sequence[str]
    run: Callable[[Conditions], Shown]
    assemble: Callable[[Plan, str], Pieces] = no_parts


def record(plan: Plan, pieces: Pieces) -> list[Op]:
    """The history of one part, which is kept below `runs/demo-NAME/PART/` with all that a run leaves. Raises
    `DemoError` if it could not be carried out or was interrupted."""
    plan.validate()
    _, _, part = plan.demo.partition("/")
    run_dir = artifacts.create(artifacts.ROOT, f"demo-{plan.demo}", datetime.now(UTC))
    run_dir.write_plan(plan)
    note = artifacts.point_latest(artifacts.ROOT, run_dir)
    live = Live(Console(file=StringIO()), plan, quiet=True)
    with StopWish() as stop:
        recorded = execute(plan, pieces.workload, pieces.nemesis, pieces.cluster, run_dir, live, stop)
    notes = [note] if note else []
    summary = conclude.judged(plan, pieces.workload, pieces.requested, recorded, run_dir, notes)
    unwritten = conclude.keep(summary, run_dir)
    if recorded.interrupted_s is not None:
        raise DemoError(f"interrupted in {part}; what was recorded is in {run_dir.path}")
    if recorded.failures or unwritten:
        raise DemoError(f"{part}: {[*recorded.failures, unwritten][0]}")
    return recorded.history
