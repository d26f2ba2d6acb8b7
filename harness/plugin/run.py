"""One run against somebody's service: from client functions, faults and a model to a verdict.

It is the run of `harness run`, with another cluster and another workload, and leaves the same files; what
does not carry over is the verdict on availability, as nobody knows what the service owes to whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console

from checkers.compose import check_all
from checkers.history import Op
from checkers.stats import Stats
from checkers.verdict import Checker, Status, Verdict, worst
from harness import ledger
from harness.catalog import faults_for
from harness.ledger import Entry, Requested
from harness.plan import Plan
from harness.plugin.asking import Functions
from harness.plugin.cluster import ServiceCluster
from harness.report import artifacts
from harness.report.artifacts import RunDir
from harness.report.console import render_check
from harness.report.files import write_report
from harness.report.ledger_table import ledger_table
from harness.report.live import Live
from harness.report.summary import FAILED, RunSummary, as_json
from harness.run import execute
from harness.stillness import told
from harness.stop import StopWish

WIDTH: Final = 110


@dataclass(frozen=True, slots=True)
class ChaosRun:
    """What a run came to. `failures` are sentences: why it could not be carried out, such as a node that
    ended by itself. `path`: its directory, with all that was recorded and what the nodes logged. `text`: the
    verdict, why, and what was done to the nodes."""

    verdict: Verdict
    history: list[Op]
    ledger: list[Entry]
    failures: tuple[str, ...]
    notes: tuple[str, ...]
    seed: int
    path: Path
    text: str

    @property
    def status(self) -> str:
        """`valid`, `invalid`, `unknown`, `vacuous` (a fault did not bite, or a kind of operation never
        succeeded: nothing was shown), or `failed`."""
        return FAILED if self.failures else self.verdict.status.value

    @property
    def valid(self) -> bool:
        return self.status == Status.VALID.value

    @property
    def report(self) -> Path:
        """The page that opens in a browser."""
        return RunDir(self.path).report

    def counts(self, f: str) -> dict[str, int]:
        """How many operations with this `f` were `ok`, `fail` and `info`."""
        kinds = [op.type for op in self.history if op.f == f]
        return {kind: kinds.count(kind) for kind in ("ok", "fail", "info")}

    def __repr__(self) -> str:
        why = "; ".join(self.failures or (self.verdict.summary, *self.notes))
        return f"<chaos run: {self.status}: {why}>"


def carry_out(
    cluster: ServiceCluster, work: Functions, checkers: Sequence[Checker], plan: Plan, root: Path
) -> ChaosRun:
    """The run is kept below `root` (absolute). Raises `PlanError` before anything is done, and
    KeyboardInterrupt if it was interrupted; what was recorded is kept."""
    plan.validate()
    nemesis, requested = faults_for(plan.faults, plan.nodes, cluster)
    run_dir = artifacts.create(root, plan.workload, datetime.now(UTC))
    run_dir.write_plan(plan)
    live = Live(Console(file=StringIO()), plan, requested, quiet=True)
    with StopWish() as stop:
        recorded = execute(plan, work, nemesis, cluster, run_dir, live, stop)
    run_dir.sightings.unlink(missing_ok=True)  # these nodes tell nothing of themselves
    entries = ledger.ledger(recorded.history, requested)
    verdict = _judged(checkers, recorded.history, entries, requested)
    summary = RunSummary(
        plan=plan,
        history=recorded.history,
        verdict=verdict,
        entries=entries,
        digest=recorded.digest,
        run_dir=run_dir.path,
        interrupted_s=recorded.interrupted_s,
        failures=recorded.failures,
        notes=[*_notes(verdict), *told(recorded.stood_still)],
        stood_still=recorded.stood_still,
    )
    run_dir.write_faults(entries)
    run_dir.write_results(as_json(summary))
    write_report(summary, run_dir)
    if recorded.interrupted_s is not None:
        raise KeyboardInterrupt
    return ChaosRun(
        verdict,
        recorded.history,
        entries,
        tuple(recorded.failures),
        tuple(summary.notes),
        plan.seed,
        run_dir.path,
        _text(summary),
    )


def _judged(
    checkers: Sequence[Checker], history: list[Op], entries: Sequence[Entry], requested: Sequence[Requested]
) -> Verdict:
    judged = check_all([*checkers, Stats()], history, "run")
    parts = (*judged.parts, ledger.judge(entries, requested))
    status = worst(part.status for part in parts)
    summary = "; ".join(f"{part.checker}: {part.summary}" for part in parts if part.status is status)
    return Verdict("run", status, summary, {}, parts)


def _notes(verdict: Verdict) -> list[str]:
    """Why nothing came of a kind of operation: most likely the client function is wrong."""
    return [
        f"{f} most often ended with: {next(iter(part.details['errors'][f]))}"
        for part in verdict.parts
        if part.checker == Stats.name
        for f, outcomes in part.details.get("operations", {}).items()
        if not outcomes["ok"] and f in part.details["errors"]
    ]


def _text(run: RunSummary) -> str:
    console = Console(file=StringIO(), width=WIDTH, color_system=None)
    for sentence in run.failures:
        console.print(f"failed   {sentence}", markup=False, highlight=False, soft_wrap=True)
    for part in run.verdict.parts:
        render_check(console, part.checker, part)
    if run.entries:
        console.print("", ledger_table(run.entries, WIDTH), sep="\n")
    told = (*run.notes, f"seed {run.plan.seed}", f"kept in {run.run_dir}; to look at: report.html")
    for line in ("", *told):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
