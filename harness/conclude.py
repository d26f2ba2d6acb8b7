"""From what was recorded to what a run leaves: judged, told as one value, and kept in its directory.

The same for `harness run`, for `harness analyze` and for the runs of a demo.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from checkers.verdict import Checker
from harness.client import Codec
from harness.judge import judge
from harness.ledger import Requested
from harness.plan import Plan
from harness.report.artifacts import ArtifactsError, RunDir
from harness.report.files import write_report
from harness.report.summary import RunSummary, as_json
from harness.run import Recorded
from harness.stillness import told


class Work(Codec, Protocol):
    """What judging needs of a workload."""

    def checkers(self) -> Sequence[Checker]: ...


def judged(
    plan: Plan,
    work: Work,
    requested: Sequence[Requested],
    recorded: Recorded,
    run_dir: RunDir,
    notes: Sequence[str] = (),
    watched: Callable[[Sequence[Checker]], list[Checker]] = list,
) -> RunSummary:
    """`watched` as in `harness.judge`."""
    still = recorded.stood_still
    judgement = judge(plan, work.checkers(), work, requested, recorded.history, watched, still)
    return RunSummary(
        plan=plan,
        history=recorded.history,
        verdict=judgement.verdict,
        entries=judgement.entries,
        digest=recorded.digest,
        run_dir=run_dir.path,
        interrupted_s=recorded.interrupted_s,
        failures=recorded.failures,
        notes=list(dict.fromkeys([*_of_a_demo(plan), *notes, *recorded.notes, *told(still)])),
        stood_still=still,
    )


def _of_a_demo(plan: Plan) -> list[str]:
    name, _, part = plan.demo.partition("/")
    said = f"{part} of harness demo {name}: what clients ask, and what goes wrong when, is the demo's own"
    return [said] if plan.demo else []


def keep(summary: RunSummary, run_dir: RunDir) -> str | None:
    """Keep the ledger, the results and the report; if that cannot be, a sentence that says why."""
    try:
        run_dir.write_faults(summary.entries)
        run_dir.write_results(as_json(summary))
        write_report(summary, run_dir)
    except ArtifactsError as error:
        return str(error)
    return None
