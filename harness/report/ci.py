"""The flags `--junit` and `--github`, and what they write."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.report.atomic import ArtifactsError, write_atomically
from harness.report.github import SUMMARY_BYTES_MAX, annotation_lines, summary
from harness.report.junit import junit
from harness.report.outcome import Outcome


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--junit", type=_place, metavar="FILE", help="write the verdict as JUnit XML, too")
    parser.add_argument(
        "--github",
        action="store_true",
        help="print annotations for GitHub Actions (there also without this)",
    )


def _place(text: str) -> Path:
    """Refused before a run rather than after it."""
    path = Path(text)
    if os.path.isdir(path) or not os.path.isdir(path.parent):  # unlike a Path's, they never raise
        raise argparse.ArgumentTypeError(
            f"{text} is no place for a file: name one in a directory that is there"
        )
    return path


def publish(
    args: argparse.Namespace, outcomes: Sequence[Outcome], env: Mapping[str, str] = os.environ
) -> None:
    """Annotations go to standard error, as standard output may be JSON. Raises `ArtifactsError`."""
    if args.junit is not None:
        write_atomically(args.junit, junit(outcomes))
    if args.github or env.get("GITHUB_ACTIONS") == "true":
        for line in annotation_lines(outcomes):
            print(line, file=sys.stderr)
    if path := env.get("GITHUB_STEP_SUMMARY"):
        try:
            with Path(path).open("a", encoding="utf-8", errors="replace") as file:
                file.write(summary(outcomes, SUMMARY_BYTES_MAX - file.tell()))
        except OSError as error:
            raise ArtifactsError(f"{path} could not be written: {error.strerror or error}") from None
