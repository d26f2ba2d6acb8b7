"""`harness analyze`: a run that was recorded, judged again."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from checkers.formats import read_history
from harness import catalog, conclude
from harness import plan as plans
from harness.commands.telling import tell
from harness.demo import catalog as demos
from harness.plan import PlanError
from harness.report import artifacts, ci, perf
from harness.report.artifacts import Ending
from harness.run import Recorded
from harness.stillness import read_spans


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = "Judge a recorded run again, by its plan; also one that was killed."
    parser.set_defaults(command=_analyze)
    parser.add_argument("run", metavar="RUN", help="the run's directory, or latest")
    parser.add_argument("--json", action="store_true", help="print the results as one JSON object")
    ci.add_flags(parser)


def _analyze(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Judge a recorded run again; one that was killed has no results yet, and gets them."""
    run_dir = artifacts.find(artifacts.ROOT, args.run)
    plan = run_dir.read_plan()
    if plan.cluster == plans.SERVICE:
        raise PlanError(
            f"{run_dir.path} was made by a test, which alone knows its checkers: run it again by "
            f"{plans.replay_command(plan)}, or judge the history: harness check {run_dir.history} --model X"
        )
    workload, requested = demos.asked_for(plan) if plan.demo else catalog.asked_for(plan)
    notes: list[str] = []
    history = read_history(run_dir.history, allow_torn_tail=True, notice=notes.append)
    span_s = perf.duration_s(history)
    ending = run_dir.read_ending() or Ending(span_s if span_s < plan.time_limit_s else None)
    digest = sha256(run_dir.history.read_bytes()).hexdigest()
    told = (list(ending.failures), list(ending.notes), read_spans(run_dir.stood_still))
    recorded = Recorded(history, digest, ending.interrupted_s, *told)
    summary = conclude.judged(plan, workload, requested, recorded, run_dir, notes)
    unwritten = conclude.keep(summary, run_dir)
    if unwritten:
        summary = replace(summary, notes=[*summary.notes, unwritten])
    return tell(summary, args)
