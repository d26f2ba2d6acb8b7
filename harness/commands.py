"""What the commands of `harness` do, once their words are understood. Each gives an exit code."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
import rich.progress
from rich.console import Console
from rich.text import Text

from checkers.formats import Format, read_history
from checkers.history import HistoryError
from checkers.linear import Progress
from checkers.models import MODELS
from checkers.verdict import Checker, Status, Verdict, worst
from harness import catalog
from harness import plan as plans
from harness.catalog import Pieces
from harness.check import Reading
from harness.follow import is_followed
from harness.judge import judge
from harness.plan import Plan, PlanError
from harness.remote.hosts import read_hosts
from harness.report import artifacts, ci, outcome, perf
from harness.report.artifacts import ArtifactsError, Ending, RunDir
from harness.report.console import render, render_check
from harness.report.files import write_report
from harness.report.live import CHECKING, Live
from harness.report.summary import RunSummary, as_json, check_as_json
from harness.run import Recorded, execute
from harness.stop import StopWish
from store.core.data import levels


class Terminal(Console):
    """A console that falls silent when its reader goes away, so that the verdict is still the exit code."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence_stdout()


def silence_stdout() -> None:
    """Nobody reads any more; Python would complain when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


EXIT: Final = {Status.VALID: 0, Status.INVALID: 1, Status.UNKNOWN: 2, Status.VACUOUS: 3}
EXIT_REFUSED: Final = 254
EXIT_FAILED: Final = 255


def run(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Run a plan, judge what was recorded, and report it."""
    plan = _plan(args, words)
    pieces = catalog.assemble(plan)
    run_dir = artifacts.create(artifacts.ROOT, plan.workload, datetime.now(UTC))
    run_dir.write_plan(plan)
    note = artifacts.point_latest(artifacts.ROOT, run_dir)
    console = Terminal(stderr=args.json)
    follow = run_dir if not plan.stop_on_violation and is_followed(pieces.workload) else None
    live = Live(console, plan, pieces.requested, quiet=args.quiet or args.json, follow=follow)
    with StopWish(console.show_cursor) as stop, live:
        recorded = execute(plan, pieces.workload, pieces.nemesis, pieces.cluster, run_dir, live, stop)
        live.phase(CHECKING)
        summary = _judged(plan, pieces, recorded, run_dir, [note] if note else [], live.watched)
    unwritten = _write(summary, run_dir)
    if unwritten:
        summary = replace(summary, failures=[*summary.failures, unwritten])
    _report(summary, as_words=not args.json)
    if summary.failures:
        print(f"harness: {'; '.join(summary.failures)}", file=sys.stderr)
    ci.publish(args, [outcome.of_run(summary)])
    return _exit_code(summary)


def analyze(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Judge a recorded run again; one that was killed has no results yet, and gets them."""
    run_dir = artifacts.find(artifacts.ROOT, args.run)
    plan = run_dir.read_plan()
    if plan.cluster == plans.SERVICE:
        raise PlanError(
            f"{run_dir.path} was made by a test, which alone knows its checkers: run it again by "
            f"{plans.replay_command(plan)}, or judge the history: harness check {run_dir.history} --model X"
        )
    pieces = catalog.assemble(plan)
    notes: list[str] = []
    history = read_history(run_dir.history, allow_torn_tail=True, notice=notes.append)
    span_s = perf.duration_s(history)
    ending = run_dir.read_ending() or Ending(span_s if span_s < plan.time_limit_s else None)
    digest = sha256(run_dir.history.read_bytes()).hexdigest()
    recorded = Recorded(history, digest, ending.interrupted_s, list(ending.failures))
    summary = _judged(plan, pieces, recorded, run_dir, notes)
    unwritten = _write(summary, run_dir)
    if unwritten:
        summary = replace(summary, notes=[*summary.notes, unwritten])
    _report(summary, as_words=not args.json)
    ci.publish(args, [outcome.of_run(summary)])
    return _exit_code(summary)


def check(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Judge history files, each by itself; one that is refused does not keep the others from it."""
    if (args.html or args.svg) and len(args.files) > 1:
        raise PlanError(f"--html and --svg draw one history, and {len(args.files)} files were given")
    form = None if args.format is None else Format(args.format)
    if args.checker and (args.model or args.failed_cas or args.html or args.svg):
        raise PlanError(
            "--model, --failed-cas, --html and --svg are for linearizability, so not with --checker"
        )
    reading = Reading(args.model, form, args.failed_cas, args.independent, args.html, args.svg, args.checker)
    console = Terminal()
    verdicts = []
    outcomes = []
    for file, verdict in zip(args.files, _verdicts(reading, args.files, args.jobs), strict=True):
        outcomes.append(outcome.of_file(file, verdict))
        if isinstance(verdict, str):
            print(f"harness: {verdict}", file=sys.stderr)
            continue
        verdicts.append(verdict)
        if args.json:
            print_json(check_as_json(file, verdict))
        else:
            render_check(console, file, verdict)
    ci.publish(args, outcomes)
    if len(verdicts) < len(args.files):
        return EXIT_REFUSED
    return EXIT[worst(verdict.status for verdict in verdicts)]


def _verdicts(reading: Reading, files: Sequence[str], jobs: int) -> Iterator[Verdict | str]:
    """Each file's verdict, or why it was refused, in their order; progress is shown on a terminal."""
    console = Console(stderr=True)
    with rich.progress.Progress(console=console, transient=True, disable=not console.is_terminal) as display:
        task = display.add_task("", total=len(files))
        if jobs > 1 and len(files) > 1:
            with ProcessPoolExecutor(min(jobs, len(files))) as pool:
                for verdict in pool.map(partial(_verdict, reading), files):
                    display.advance(task)
                    yield verdict
            return
        for number, file in enumerate(files):

            def show(progress: Progress, file: str = file, number: int = number) -> None:
                keys = f"{progress.keys_decided} of {progress.keys} keys, {progress.steps:,} steps"
                display.update(task, completed=number, description=f"{file}: {keys}")

            yield _verdict(reading, file, show)


def _verdict(
    reading: Reading, file: str, progress: Callable[[Progress], None] | None = None
) -> Verdict | str:
    try:
        return reading.judge(file, progress)
    except HistoryError as error:
        return str(error)


def listing(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Everything that can be named, a line each."""
    console = Terminal()
    kinds: dict[str, dict[str, str]] = {
        "workload": {name: kind.summary for name, kind in catalog.WORKLOADS.items()},
        "fault": {name: kind.summary for name, kind in catalog.FAULTS.items()},
        "cluster": {name: kind.summary for name, kind in catalog.CLUSTERS.items()},
        "level": {**levels.NAMES, "r=R,w=W": "R replicas answer a read and W a write"},
        "model": {name: model.summary for name, model in MODELS.items()},
    }
    for kind, names in kinds.items():
        for name, summary in names.items():
            line = Text.assemble((f"{kind:<10}", "dim"), (f"{name:<18}", "bold"), summary)
            console.print(line, soft_wrap=True)
    return 0


def _plan(args: argparse.Namespace, words: Sequence[str]) -> Plan:
    nodes = _nodes(args)
    count = len(nodes)
    faults = (
        plans.parse_faults(args.faults)
        if args.faults is not None
        else plans.default_faults(args.cluster, count)
    )
    return Plan(
        workload=args.workload,
        level=args.level,
        cluster=args.cluster,
        nodes_file=args.nodes_file,
        lab=args.lab,
        heal_after_s=args.heal_after,
        nodes=nodes,
        replication=plans.default_replication(count) if args.replication is None else args.replication,
        faults=faults,
        time_limit_s=args.time_limit,
        concurrency=args.concurrency,
        rate=args.rate,
        op_timeout_s=args.op_timeout,
        fault_interval_s=args.fault_interval,
        analysis_limit_s=args.analysis_limit,
        stop_on_violation=args.stop_on_violation,
        seed=secrets.randbelow(1 << 32) if args.seed is None else args.seed,
        argv=("harness", *words),
        versions=plans.versions(),
    )


def _nodes(args: argparse.Namespace) -> tuple[str, ...]:
    """As asked for; else on `ssh` the hosts of the file, the last of them a spare if one is needed."""
    if args.nodes is not None:
        return plans.parse_nodes(args.nodes)
    if args.cluster != "ssh" or not args.nodes_file:
        return Plan().nodes
    names = tuple([host.name for host in read_hosts(Path(args.nodes_file))])
    return names[: len(names) - catalog.spares(plans.parse_faults(args.faults or "none"))]


def _judged(
    plan: Plan,
    pieces: Pieces,
    recorded: Recorded,
    run_dir: RunDir,
    notes: Sequence[str],
    watched: Callable[[Sequence[Checker]], list[Checker]] = list,
) -> RunSummary:
    workload = pieces.workload
    judgement = judge(plan, workload.checkers(), workload, pieces.requested, recorded.history, watched)
    return RunSummary(
        plan=plan,
        history=recorded.history,
        verdict=judgement.verdict,
        entries=judgement.entries,
        digest=recorded.digest,
        run_dir=run_dir.path,
        interrupted_s=recorded.interrupted_s,
        failures=recorded.failures,
        notes=notes,
    )


def _write(summary: RunSummary, run_dir: RunDir) -> str | None:
    """Keep the ledger, the results and the report; if that cannot be, a sentence that says why."""
    try:
        run_dir.write_faults(summary.entries)
        run_dir.write_results(as_json(summary))
        write_report(summary, run_dir)
    except ArtifactsError as error:
        return str(error)
    return None


def _exit_code(summary: RunSummary) -> int:
    return EXIT_FAILED if summary.failures else EXIT[summary.verdict.status]


def _report(summary: RunSummary, as_words: bool) -> None:
    if as_words:
        render(Terminal(), summary)
    else:
        print_json(as_json(summary))


def print_json(value: dict[str, Any]) -> None:
    try:
        print(msgspec.json.encode(value, enc_hook=str, order="deterministic").decode(), flush=True)
    except BrokenPipeError:
        silence_stdout()
