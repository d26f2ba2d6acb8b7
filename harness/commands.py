"""What the commands of `harness` do, once their words are understood. Each gives an exit code."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.text import Text

from checkers.formats import detect_format, read_history
from checkers.history import HistoryError
from checkers.linear import Linearizable
from checkers.models import MODELS, guess_model
from checkers.verdict import Status, worst
from harness import catalog
from harness import plan as plans
from harness.catalog import Pieces
from harness.judge import judge
from harness.plan import Plan
from harness.report import artifacts
from harness.report.artifacts import RunDir
from harness.report.console import render, render_check
from harness.report.live import Live
from harness.report.summary import RunSummary, as_json, check_as_json
from harness.run import Recorded, execute
from harness.stop import StopWish
from store.core import levels


class Terminal(Console):
    """A console that falls silent when its reader goes away, so that the verdict is still the exit code."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        silence_stdout()


def silence_stdout() -> None:
    """Nobody reads any more; Python would complain when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


EXIT: Final = {Status.VALID: 0, Status.INVALID: 1, Status.UNKNOWN: 2, Status.VACUOUS: 3}
EXIT_FAILED: Final = 255


def run(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Run a plan, judge what was recorded, and report it."""
    plan = _plan(args, words)
    pieces = catalog.assemble(plan)
    run_dir = artifacts.create(artifacts.ROOT, plan.workload, datetime.now(UTC))
    run_dir.write_plan(plan)
    note = artifacts.point_latest(artifacts.ROOT, run_dir)
    console = Terminal(stderr=args.json)
    with StopWish() as stop, Live(console, plan, pieces.requested, quiet=args.quiet or args.json) as live:
        recorded = execute(plan, pieces.workload, pieces.nemesis, pieces.cluster, run_dir, live, stop)
        live.phase("checking")
        summary = _judged(plan, pieces, recorded, run_dir, [note] if note else [])
    _report(summary, as_words=not args.json)
    if recorded.failure or recorded.unexpected_deaths:
        befell = [*recorded.unexpected_deaths, *([recorded.failure] if recorded.failure else [])]
        print(f"harness: {'; '.join(befell)}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT[summary.verdict.status]


def analyze(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Judge a recorded run again; one that was killed has no results yet, and gets them."""
    run_dir = artifacts.find(artifacts.ROOT, args.run)
    plan = run_dir.read_plan()
    pieces = catalog.assemble(plan)
    notes: list[str] = []
    history = read_history(run_dir.history, allow_torn_tail=True, notice=notes.append)
    recorded = Recorded(history, sha256(run_dir.history.read_bytes()).hexdigest())
    summary = _judged(plan, pieces, recorded, run_dir, notes)
    _report(summary, as_words=not args.json)
    return EXIT[summary.verdict.status]


def check(args: argparse.Namespace, words: Sequence[str]) -> int:
    """Judge history files, each by itself."""
    console = Terminal()
    verdicts = []
    for file in args.files:
        history = read_history(file, independent=args.independent)
        try:
            name = args.model or guess_model(history)
            failed_cas = detect_format(Path(file)).failed_cas
            verdict = Linearizable(MODELS[name](), failed_cas=failed_cas).check(history)
        except HistoryError as error:
            raise HistoryError(f"{file}: {error}") from None
        verdicts.append(verdict)
        if args.json:
            _print_json(check_as_json(file, verdict))
        else:
            render_check(console, file, verdict)
    return EXIT[worst(verdict.status for verdict in verdicts)]


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
            line = Text.assemble((f"{kind:<10}", "dim"), (f"{name:<16}", "bold"), summary)
            console.print(line, soft_wrap=True)
    return 0


def _plan(args: argparse.Namespace, words: Sequence[str]) -> Plan:
    faults = plans.default_faults(args.cluster) if args.faults is None else plans.parse_faults(args.faults)
    return Plan(
        workload=args.workload,
        level=args.level,
        cluster=args.cluster,
        nodes=plans.parse_nodes(args.nodes),
        replication=args.replication,
        faults=faults,
        time_limit_s=args.time_limit,
        concurrency=args.concurrency,
        rate=args.rate,
        op_timeout_s=args.op_timeout,
        fault_interval_s=args.fault_interval,
        analysis_limit_s=args.analysis_limit,
        seed=secrets.randbelow(1 << 32) if args.seed is None else args.seed,
        argv=("harness", *words),
        versions=plans.versions(),
    )


def _judged(
    plan: Plan, pieces: Pieces, recorded: Recorded, run_dir: RunDir, notes: Sequence[str]
) -> RunSummary:
    workload = pieces.workload
    judgement = judge(plan, workload.checkers(), workload, pieces.requested, recorded.history)
    summary = RunSummary(
        plan=plan,
        history=recorded.history,
        verdict=judgement.verdict,
        entries=judgement.entries,
        digest=recorded.digest,
        run_dir=run_dir.path,
        interrupted_s=recorded.interrupted_s,
        unexpected_deaths=recorded.unexpected_deaths,
        notes=notes,
    )
    run_dir.write_faults(judgement.entries)
    run_dir.write_results(as_json(summary))
    return summary


def _report(summary: RunSummary, as_words: bool) -> None:
    if as_words:
        render(Terminal(), summary)
    else:
        _print_json(as_json(summary))


def _print_json(value: dict[str, Any]) -> None:
    try:
        print(msgspec.json.encode(value, enc_hook=str, order="deterministic").decode(), flush=True)
    except BrokenPipeError:
        silence_stdout()
