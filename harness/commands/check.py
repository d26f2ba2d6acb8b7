"""`harness check`: histories that were recorded elsewhere, judged."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import get_args

import rich.progress
from rich.console import Console

from checkers.formats import Format
from checkers.history import HistoryError
from checkers.linear import Progress
from checkers.models import FailedCas, model_named
from checkers.named import NAMED
from checkers.verdict import Verdict, worst
from harness.check import Reading
from harness.commands.terminal import CODES, EXIT, EXIT_REFUSED, Terminal, print_json
from harness.plan import PlanError
from harness.report import ci, outcome
from harness.report.console import render_check
from harness.report.summary import check_as_json


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Judge recorded histories: our JSON lines, Jepsen's EDN, or Jepsen's text log. See\n"
        "docs/HISTORY_FORMAT.md. The exit code is that of the worst verdict, or 254 if a file was refused."
    )
    parser.epilog = CODES
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.set_defaults(command=_check)
    parser.add_argument("files", nargs="+", metavar="FILE")
    add = parser.add_argument
    add("--model", type=_model, metavar="NAME", help="what was recorded (told from the operations)")
    add(
        "--checker",
        choices=NAMED,
        metavar="NAME",
        help=f"judge by another one than linearizability: {', '.join(NAMED)}",
    )
    formats = [form.value for form in Format]
    add("--format", choices=formats, help="what the files are (told from their content)")
    add(
        "--failed-cas",
        choices=get_args(FailedCas),
        help="what a failed cas tells: nothing; that the value was another one; or that, if its error is "
        "mismatch (by the format: EDN ignore, Jepsen's log observe, JSON lines mismatch)",
    )
    add(
        "--independent",
        action="store_true",
        help="values are [key value] pairs, as jepsen.independent writes them",
    )
    add("--jobs", type=_jobs, default=1, metavar="N", help="files judged at once (%(default)s)")
    add("--html", type=Path, metavar="OUT", help="draw the verdict of one file as a page")
    add("--svg", type=Path, metavar="OUT", help="draw the verdict of one file as a picture")
    parser.add_argument(
        "--json", action="store_true", help="print a line of JSON for each file, and nothing else"
    )
    ci.add_flags(parser)


def _model(spec: str) -> str:
    try:
        model_named(spec)
    except HistoryError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return spec


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 256):
        raise argparse.ArgumentTypeError(f"{text} is not a number of processes from 1 to 256")
    return int(text)


def _check(args: argparse.Namespace, words: Sequence[str]) -> int:
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
