"""The run directory: everything that a run leaves behind, and the way back in for `harness analyze`.

    runs/<workload>/<time>/  plan.json      what determined the run
                             history.jsonl  what was asked and answered (the recorder appends to it)
                             faults.json    the fault ledger
                             results.json   the verdict tree, as `harness run --json` prints it
                             report.html    all of it to look at, with plots beside it (*.svg)
                             nodes.jsonl    what the nodes told of themselves meanwhile
                             nodes/         what the nodes logged and kept
    runs/latest              a symbolic link to the newest

The parts of a demo are in runs/demo-<name>/<part>/<time>/, the runs of tests in runs/pytest/<test>/<time>/.

Every file but the history is written whole or not at all. What is in the history and the ledger is the
business of `harness/recorder.py` and `harness/ledger.py`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from harness import plan as plans
from harness.plan import Plan
from harness.report.atomic import ArtifactsError, sync_directory, write_atomically

__all__ = [
    "LATEST",
    "ROOT",
    "ArtifactsError",
    "Ending",
    "NoSuchRun",
    "RunDir",
    "create",
    "find",
    "point_latest",
]

ROOT: Final = Path("runs")
LATEST: Final = "latest"


class NoSuchRun(ArtifactsError):
    """What was named is not the directory of a run."""


class Ending(msgspec.Struct, frozen=True):
    """What the results say of the run itself, which its history does not tell."""

    interrupted_s: float | None = None
    failures: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunDir:
    """One run's directory. Writing raises `ArtifactsError`, one sentence."""

    path: Path

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def faults(self) -> Path:
        return self.path / "faults.json"

    @property
    def results(self) -> Path:
        return self.path / "results.json"

    @property
    def report(self) -> Path:
        return self.path / "report.html"

    @property
    def sightings(self) -> Path:
        return self.path / "nodes.jsonl"

    @property
    def stood_still(self) -> Path:
        return self.path / "stood_still.jsonl"

    @property
    def nodes(self) -> Path:
        return self.path / "nodes"

    def write_plan(self, plan: Plan) -> None:
        plans.save(plan, self.plan)

    def write_faults(self, entries: Sequence[Any]) -> None:
        """`entries`: the ledger's, structs or dataclasses."""
        write_atomically(self.faults, _pretty(list(entries)))

    def write_results(self, results: dict[str, Any]) -> None:
        """`results`: what `summary.as_json` gives."""
        write_atomically(self.results, _pretty(results))

    def read_plan(self) -> Plan:
        """Raises `PlanError`."""
        return plans.load(self.plan)

    def read_ending(self) -> Ending | None:
        """None if there are no results that can be read: the run did not come to its end."""
        try:
            return msgspec.json.decode(self.results.read_bytes(), type=Ending)
        except (OSError, ValueError, RecursionError):
            return None


def create(root: Path, workload: str, now: datetime) -> RunDir:
    """Make a new directory below `root`, named by `now` (of any time zone), which no other run has."""
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S.%f")[:-3] + "Z"
    parent = root / workload
    number = 1
    while True:
        run = RunDir(parent / (stamp if number == 1 else f"{stamp}-{number}"))
        try:
            parent.mkdir(parents=True, exist_ok=True)
            run.path.mkdir()
            run.nodes.mkdir()
            sync_directory(parent)
        except FileExistsError:
            if not parent.is_dir():
                raise ArtifactsError(f"{parent} is needed as a directory, and is a file") from None
            number += 1
        except OSError as error:
            raise ArtifactsError(f"{run.path} could not be made: {error.strerror or error}") from None
        else:
            return run


def point_latest(root: Path, run: RunDir) -> str | None:
    """Let `root/latest` point to `run`. Where that cannot be, nothing is changed, and the answer is one
    sentence that says why; a run is no worse for it."""
    link = root / LATEST
    if os.path.lexists(link) and not link.is_symlink():
        return f"{link} is not a symbolic link, so it was left as it is and does not point to this run"
    temporary = root / f".{LATEST}.{os.getpid()}.tmp"
    try:
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(os.path.relpath(run.path, root), target_is_directory=True)
        temporary.replace(link)
    except OSError as error:
        return f"{link} could not be pointed to this run: {error.strerror or error}"
    return None


def find(root: Path, run: str) -> RunDir:
    """The run that `harness analyze RUN` means: its directory, a file in it, or `latest`. Raises
    `NoSuchRun` if there is no history there."""
    path = root / LATEST if run == LATEST else Path(run)
    if run == LATEST and not os.path.exists(path):
        reason = (
            "points to a run that is gone"
            if path.is_symlink()
            else "does not exist; no run was made here yet"
        )
        raise NoSuchRun(f"{path} {reason}")
    if not os.path.exists(path):
        raise NoSuchRun(f"{run} does not exist; allowed: the directory of a run, or {LATEST}")
    found = RunDir(path.resolve() if path.is_symlink() else path)
    if not path.is_dir():
        found = RunDir(path.parent)
    if not found.history.is_file():
        raise NoSuchRun(f"{found.path} is not the directory of a run: it has no {found.history.name}")
    return found


def _pretty(value: Any) -> bytes:
    """JSON for people and for diff: indented, keys in a fixed order."""
    return (
        msgspec.json.format(msgspec.json.encode(value, enc_hook=str, order="deterministic"), indent=2) + b"\n"
    )
