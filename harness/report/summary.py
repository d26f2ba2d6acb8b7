"""What a report tells of one run, as one value; and the same as JSON, with keys that stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from checkers.history import Op
from checkers.verdict import Verdict
from harness.ledger import Entry
from harness.plan import Plan, replay_command
from harness.report import perf
from harness.stillness import Span

FAILED: Final = "failed"
"""What a run is, whatever its history says, if the harness or a node failed."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """`verdict` is the composed one, with a part for each checker. `digest` is the SHA-256 of the history
    file. `interrupted_s`: when the run was told to stop early, or was killed, in seconds since its start.
    `failures` say why it was no proper run (then that comes before any verdict), `notes` what else there is
    to know; both are sentences. `stood_still`: when the harness did, which is in a note, too."""

    plan: Plan
    history: Sequence[Op]
    verdict: Verdict
    entries: Sequence[Entry]
    digest: str
    run_dir: Path
    interrupted_s: float | None = None
    failures: Sequence[str] = ()
    notes: Sequence[str] = ()
    stood_still: Sequence[Span] = ()


def as_json(run: RunSummary) -> dict[str, Any]:
    """One run, for programs: `results.json` and `harness run --json`."""
    return {
        "status": FAILED if run.failures else run.verdict.status.value,
        "summary": "; ".join(run.failures) or run.verdict.summary,
        "verdict": msgspec.to_builtins(run.verdict, enc_hook=str),
        "duration_s": perf.duration_s(run.history),
        "faults": msgspec.to_builtins(list(run.entries), enc_hook=str),
        "digest": run.digest,
        "run_dir": str(run.run_dir),
        "interrupted_s": run.interrupted_s,
        "failures": list(run.failures),
        "notes": list(run.notes),
        "stood_still": list(run.stood_still),
        "plan": msgspec.to_builtins(run.plan),
        "replay": replay_command(run.plan),
    }


def check_as_json(file: str, verdict: Verdict) -> dict[str, Any]:
    """One judged history file, for programs: a line of `harness check --json`."""
    return {
        "file": file,
        "status": verdict.status.value,
        "summary": verdict.summary,
        "verdict": msgspec.to_builtins(verdict, enc_hook=str),
    }
