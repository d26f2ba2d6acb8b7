"""What `run` and `analyze` tell of a run that was judged."""

from __future__ import annotations

import argparse
import sys

from harness.commands.terminal import EXIT, EXIT_FAILED, Terminal, print_json
from harness.report import ci, outcome
from harness.report.console import render
from harness.report.summary import RunSummary, as_json


def tell(summary: RunSummary, args: argparse.Namespace) -> int:
    """In words or as JSON, and to CI, as asked for; the exit code."""
    if args.json:
        print_json(as_json(summary))
    else:
        render(Terminal(), summary)
    if summary.failures:
        print(f"harness: {'; '.join(summary.failures)}", file=sys.stderr)
    ci.publish(args, [outcome.of_run(summary)])
    return EXIT_FAILED if summary.failures else EXIT[summary.verdict.status]
