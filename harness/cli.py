"""The command `harness`: words to plans and files, verdicts to exit codes."""

from __future__ import annotations

import argparse
import io
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NoReturn, get_args

from checkers.formats import Format
from checkers.history import HistoryError
from checkers.models import FailedCas, model_named
from checkers.named import NAMED
from harness import catalog, commands, compare_command, heal_command
from harness.cluster.base import ClusterError
from harness.demo import command as demo_command
from harness.doctor import commands as doctor_commands
from harness.lab import commands as lab_commands
from harness.lab.layout import LabError
from harness.plan import Plan, PlanError
from harness.recorder import RecorderError
from harness.remote.errors import HostsFileError, RemoteError
from harness.report import ci
from harness.report.artifacts import ArtifactsError, NoSuchRun
from harness.serve import commands as serve_commands
from store.core.data import levels

CODES: Final = """exit codes:
  0    valid: the whole history was judged, and nothing is wrong with it
  1    invalid: a violation was found
  2    unknown: the analysis did not get to an end within its limits
  3    vacuous: nothing wrong was seen, but a fault that was asked for did not bite, or a kind of
       operation never succeeded
  254  the arguments or an input file make no sense
  255  the harness or a node failed
"""

RUN_EXAMPLES: Final = """examples:
  harness run                                      five simulated nodes, every fault, 60 virtual seconds
  harness run --seed 7                             the same run every time, byte for byte
  harness run --level one --faults partition       availability bought with consistency: exit 1
  harness run --cluster local --time-limit 30      real processes, real sockets, real disks
  harness run --cluster netns --time-limit 30      hosts in network namespaces, driven over SSH (root)
  harness run --cluster ssh --nodes-file hosts     any hosts with SSH and sudo, such as the Vagrant lab
  harness run --faults partition:one-way,kill:majority --fault-interval 5
  harness run --nodes 3 --concurrency 30 --rate 1000 --faults none
  harness run --cluster local --junit junit.xml    for continuous integration, too: docs/ci.md

On cluster sim a seed fixes the whole history. On the others it fixes what is asked and which faults are
injected, not how the nodes interleave. ctrl-C heals, stops, and judges what was recorded; a second one ends
everything at once.

"""


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


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(commands.EXIT_REFUSED)


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character gets a question mark
    try:
        args = _parser().parse_args(words)
        return int(args.command(args, words))
    except (PlanError, HistoryError, NoSuchRun, HostsFileError) as error:
        return _fail(str(error), commands.EXIT_REFUSED)
    except (ArtifactsError, ClusterError, RecorderError, LabError, RemoteError) as error:
        return _fail(str(error), commands.EXIT_FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted", commands.EXIT_FAILED)
    except OSError as error:
        commands.silence_stdout()  # most likely it is what cannot be written, and Python would try again
        return _fail(f"{error.filename or 'the output'}: {error.strerror or error}", commands.EXIT_FAILED)
    except Exception:  # with the exit code that Python gives it, it would pass for a violation that was found
        traceback.print_exc()
        return _fail("this is a bug of the harness; what was recorded is kept", commands.EXIT_FAILED)


def _fail(sentence: str, code: int) -> int:
    print(f"harness: {sentence}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="harness",
        description="Runs workloads against a cluster while it breaks it, and judges what was answered.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND", parser_class=_Parser)
    _add_run(subparsers)
    _add_check(subparsers)
    _add_analyze(subparsers)
    doctor_commands.add_to(subparsers.add_parser("doctor", help=doctor_commands.HELP))
    lab_commands.add_to(subparsers.add_parser("lab", help=lab_commands.HELP), _Parser)
    compare_command.add_to(subparsers.add_parser("compare", help=compare_command.HELP))
    serve_commands.add_to(subparsers.add_parser("serve", help=serve_commands.HELP))
    heal_command.add_to(subparsers.add_parser("heal", help=heal_command.HELP))
    demo_command.add_to(subparsers.add_parser("demo", help=demo_command.HELP), _Parser)
    listing = subparsers.add_parser(
        "list", help="the workloads, faults, clusters, levels and models, a line each"
    )
    listing.set_defaults(command=commands.listing)
    return parser


def _add_run(subparsers: argparse._SubParsersAction[_Parser]) -> None:
    run = subparsers.add_parser(
        "run",
        help="run a workload on a cluster under faults, and judge it",
        description="Run a workload on a cluster under faults, judge its history, and keep it in runs/.",
        epilog=RUN_EXAMPLES + CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    run.set_defaults(command=commands.run)
    default = Plan()
    add = run.add_argument
    add("--workload", default=default.workload, choices=catalog.WORKLOADS, help="what is asked (%(default)s)")
    add("--level", default=default.level, help=f"{levels.ALLOWED} (%(default)s)")
    add("--cluster", default=default.cluster, choices=catalog.CLUSTERS, help="(%(default)s)")
    add(
        "--nodes",
        metavar="N|NAMES",
        help=f"a number, or names ({len(default.nodes)}; on ssh all hosts of the file)",
    )
    add("--nodes-file", default="", metavar="FILE", help="the hosts of cluster ssh; see docs/hosts.md")
    add("--lab", default="", metavar="NAME", help="a lab that is up, for netns (one made for the run)")
    add(
        "--heal-after",
        type=float,
        default=default.heal_after_s,
        metavar="S",
        help="hosts undo all faults themselves when they have not heard of the harness for so long: "
        "seconds (%(default)g)",
    )
    add(
        "--replication",
        type=int,
        metavar="N",
        help=f"copies of a key ({default.replication}, or one on each node if they are fewer)",
    )
    add(
        "--faults",
        metavar="LIST",
        help="NAME or NAME:CHOICE with commas between, or none (all that the cluster can make)",
    )
    seconds = "seconds (%(default)g)"
    add("--time-limit", type=float, default=default.time_limit_s, metavar="S", help=f"for the run: {seconds}")
    add("--concurrency", type=int, default=default.concurrency, metavar="N", help="clients (%(default)s)")
    add(
        "--rate",
        type=float,
        default=default.rate,
        metavar="R",
        help="operations per second, in all (%(default)g)",
    )
    add(
        "--op-timeout",
        type=float,
        default=default.op_timeout_s,
        metavar="S",
        help=f"for an operation: {seconds}",
    )
    add(
        "--fault-interval",
        type=float,
        default=default.fault_interval_s,
        metavar="S",
        help=f"between injections of one fault, about: {seconds}",
    )
    add(
        "--analysis-limit",
        type=float,
        default=default.analysis_limit_s,
        metavar="S",
        help=f"for judging: {seconds}",
    )
    add("--stop-on-violation", action="store_true", help="end the run at the first violation that is seen")
    add("--seed", type=int, metavar="N", help="of everything that is drawn (drawn itself, and printed)")
    add("--json", action="store_true", help="print the results as one JSON object, and nothing else")
    add("--quiet", action="store_true", help="no live view, only the report")
    ci.add_flags(run)


def _add_check(subparsers: argparse._SubParsersAction[_Parser]) -> None:
    check = subparsers.add_parser(
        "check",
        help="judge recorded histories",
        description="Judge recorded histories: our JSON lines, Jepsen's EDN, or Jepsen's text log. See "
        "docs/HISTORY_FORMAT.md. The exit code is that of the worst verdict, or 254 if a file was refused.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.set_defaults(command=commands.check)
    check.add_argument("files", nargs="+", metavar="FILE")
    add = check.add_argument
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
    check.add_argument(
        "--json", action="store_true", help="print a line of JSON for each file, and nothing else"
    )
    ci.add_flags(check)


def _add_analyze(subparsers: argparse._SubParsersAction[_Parser]) -> None:
    analyze = subparsers.add_parser(
        "analyze",
        help="judge a recorded run again, also one that was killed",
        description="Judge a recorded run again, by its plan; also one that was killed.",
    )
    analyze.set_defaults(command=commands.analyze)
    analyze.add_argument("run", metavar="RUN", help="the run's directory, or latest")
    analyze.add_argument("--json", action="store_true", help="print the results as one JSON object")
    ci.add_flags(analyze)


if __name__ == "__main__":
    sys.exit(main())
