"""The command `harness`: words to commands (harness/commands/), and whatever goes wrong to exit codes."""

from __future__ import annotations

import argparse
import io
import sys
import traceback
from collections.abc import Sequence
from importlib import import_module
from typing import Final, NoReturn

from checkers.history import HistoryError
from harness.cluster.base import ClusterError
from harness.commands.terminal import CODES, EXIT_FAILED, EXIT_REFUSED, silence_stdout
from harness.lab.layout import LabError
from harness.plan import PlanError
from harness.recorder import RecorderError
from harness.remote.errors import HostsFileError, RemoteError
from harness.report.artifacts import ArtifactsError, NoSuchRun
from store import interrupt

COMMANDS: Final = {
    "run": "run a workload on a cluster under faults, and judge it",
    "check": "judge recorded histories",
    "analyze": "judge a recorded run again, also one that was killed",
    "doctor": "check everything that a run needs, and say what mends what is missing",
    "lab": "hosts on this machine, in network namespaces (Linux, root)",
    "compare": "two recorded runs side by side: verdicts, rates, latencies, faults, plans",
    "serve": "recorded runs in a browser: reports, files, and two side by side",
    "heal": "undo what a run that was killed left on the hosts",
    "demo": "show a trade-off by the figures of a run",
    "list": "the workloads, faults, clusters, levels and models, a line each",
}
"""Each is a module of harness/commands/, imported only when it is asked for: all of them take a second."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message} (see {self.prog} --help)", file=sys.stderr)
        raise SystemExit(EXIT_REFUSED)


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character gets a question mark
    try:
        args = _parser(words).parse_args(words)
        interrupt.is_raised()
        return int(args.command(args, words))
    except (PlanError, HistoryError, NoSuchRun, HostsFileError) as error:
        return _fail(str(error), EXIT_REFUSED)
    except (ArtifactsError, ClusterError, RecorderError, LabError, RemoteError) as error:
        return _fail(str(error), EXIT_FAILED)
    except OSError as error:
        silence_stdout()  # most likely it is what cannot be written, and Python would try again
        return _fail(f"{error.filename or 'the output'}: {error.strerror or error}", EXIT_FAILED)
    except Exception:  # with the exit code that Python gives it, it would pass for a violation that was found
        traceback.print_exc()
        return _fail("this is a bug of the harness; what was recorded is kept", EXIT_FAILED)


def _fail(sentence: str, code: int) -> int:
    print(f"harness: {sentence}", file=sys.stderr)
    return code


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="harness",
        description="Runs workloads against a cluster while it breaks it, and judges what was answered.",
        epilog=CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=summary)
        if words[:1] == [name]:
            import_module(f"harness.commands.{name}").add_to(subparser)
    return parser
