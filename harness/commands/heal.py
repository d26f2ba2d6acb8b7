"""`harness heal`: what a killed run left on hosts, undone by hand."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.commands.terminal import EXIT_FAILED
from harness.heal import heal
from harness.lab import lab
from harness.lab.layout import DEFAULT_NAME
from harness.remote.host import Host
from harness.remote.hosts import read_hosts
from store import interrupt


def add_to(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "End the harness' hand on each host, if one is still there, and undo every fault that its undo log "
        "names. Nothing else on the hosts is touched. A run does the same at its end, and each host by "
        "itself when it does not hear of the harness for a while."
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--lab", default=DEFAULT_NAME, metavar="NAME", help="a lab (%(default)s)")
    where.add_argument("--nodes-file", type=Path, metavar="FILE", help="a file that names hosts")
    parser.add_argument(
        "--set-aside",
        action="store_true",
        help="where a line of the undo log makes no sense, put the log out of the way once all else is "
        "undone: the host can be used again, but what that line was to undo, nobody undoes",
    )
    parser.set_defaults(command=_heal)


def _heal(args: argparse.Namespace, words: Sequence[str]) -> int:
    reports = interrupt.run(heal, _hosts(args), args.set_aside)
    for report in reports:
        if report.clean:
            print(report.sentence)
        else:
            print(f"harness: {report.sentence}", file=sys.stderr)
    return 0 if all(report.clean for report in reports) else EXIT_FAILED


def _hosts(args: argparse.Namespace) -> tuple[Host, ...]:
    """Raises `LabError` or `HostsFileError`."""
    return lab.find(args.lab).hosts if args.nodes_file is None else read_hosts(args.nodes_file)
