"""The report of a run into its directory: the page, and its plots beside it."""

from __future__ import annotations

from harness import sightings
from harness.report.artifacts import RunDir
from harness.report.atomic import write_atomically
from harness.report.html import page
from harness.report.plots import plots
from harness.report.summary import RunSummary


def write_report(run: RunSummary, run_dir: RunDir) -> None:
    """Raises `ArtifactsError`."""
    seen = sightings.read(run_dir.sightings)
    write_atomically(run_dir.report, page(run, seen).encode())
    for name, drawn in plots(run, seen).items():
        write_atomically(run_dir.path / name, drawn.encode())
