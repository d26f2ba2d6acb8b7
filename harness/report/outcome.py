"""What a run, or a judged file, came to, as one value for the outputs that continuous integration reads.

A case is one thing that can be right or wrong: a checker of the run, or a fault that was asked for. The
parts of other checkers are no cases: a consistency ladder is right although some of its rungs are broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from checkers.verdict import Verdict
from harness.plan import replay_command
from harness.report import perf
from harness.report.summary import RunSummary

RUN: Final = "run"
"""The case that stands for the run itself: could it be carried out?"""
FAULTS: Final = "faults"

Kind = str
"""A verdict's status; or `failed`, a run that was not carried out; or `refused`, a file that was not read."""


@dataclass(frozen=True, slots=True)
class Case:
    """`summary` is a sentence, `story` what else there is to say of it, lines."""

    name: str
    kind: Kind
    summary: str
    story: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`name` says what was judged, `group` what kind of thing that was (dots between). `facts` are for
    whoever looks into it, by what they are called."""

    name: str
    group: str
    kind: Kind
    summary: str
    cases: tuple[Case, ...]
    seconds: float = 0.0
    facts: Mapping[str, str] = field(default_factory=dict)


def of_run(run: RunSummary) -> Outcome:
    plan = run.plan
    failures = [Case(RUN, "failed", "; ".join(run.failures))] if run.failures else []
    facts = {
        "run again": replay_command(plan),
        "seed": str(plan.seed),
        "written to": str(run.run_dir),
        "sha256": run.digest,
    }
    if run.interrupted_s is not None:
        facts["stopped at"] = f"{run.interrupted_s:.1f} of {plan.time_limit_s:g} s"
    faults = ", ".join(plan.faults) or "none"
    return Outcome(
        f"{plan.workload}, level {plan.level}, on {plan.cluster}, faults: {faults}",
        f"harness.{plan.workload}.{plan.cluster}.{plan.level}.{'+'.join(plan.faults) or 'none'}",
        "failed" if run.failures else run.verdict.status.value,
        "; ".join(run.failures) or run.verdict.summary,
        (*failures, *_cases(run.verdict)),
        perf.duration_s(run.history),
        facts,
    )


def of_file(file: str, verdict: Verdict | str) -> Outcome:
    """One judged file; or, if it was refused, the sentence that says why."""
    group = "harness.check"
    if isinstance(verdict, str):
        return Outcome(file, group, "refused", verdict, (Case(file, "refused", verdict),))
    kind = verdict.status.value
    return Outcome(file, group, kind, verdict.summary, (Case(file, kind, verdict.summary, story(verdict)),))


def _cases(verdict: Verdict) -> Iterator[Case]:
    for part in verdict.parts or (verdict,):
        if part.checker == FAULTS and part.parts:
            for fault in part.parts:
                yield Case(f"{FAULTS}: {fault.checker}", fault.status.value, fault.summary)
        else:
            yield Case(part.checker, part.status.value, part.summary, story(part))


def story(verdict: Verdict) -> tuple[str, ...]:
    """The checker's own explanation, as far as it gives one and the summary does not say it."""
    said: Any = verdict.details.get("explanation", ())
    lines = [said] if isinstance(said, str) else [str(line) for line in said]
    return tuple([line for line in lines if line not in verdict.summary])
