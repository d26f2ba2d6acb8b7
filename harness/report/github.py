"""What GitHub Actions shows of a run: annotations, and a summary of the step in Markdown.

Annotations are lines that the runner reads off any output of a step; it keeps ten errors and ten warnings of
one. What a step's summary may hold is a mebibyte; of longer ones GitHub shows nothing, so it is cut.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from harness.report.outcome import Kind, Outcome

ANNOTATIONS_MAX: Final = 10
SUMMARY_BYTES_MAX: Final = 1 << 20
STORY_LINES_MAX: Final = 40

_LEVELS: Final[dict[Kind, str]] = {
    "invalid": "error",
    "failed": "error",
    "refused": "error",
    "unknown": "warning",
    "vacuous": "warning",
}
_MARKS: Final[dict[Kind, str]] = {"valid": "✅", "invalid": "❌", "failed": "💥", "refused": "💥"}
_MARK_OF_DOUBT: Final = "⚠️"


def annotation_lines(outcomes: Iterable[Outcome]) -> list[str]:
    """A line for each case that is not valid, the worst first."""
    found = [
        (_LEVELS[case.kind], outcome, case)
        for outcome in outcomes
        for case in outcome.cases
        if case.kind in _LEVELS
    ]
    lines = []
    for level in ("error", "warning"):
        own = [(outcome, case) for at, outcome, case in found if at == level]
        for outcome, case in own[:ANNOTATIONS_MAX]:
            title = _property(f"{case.kind}: {case.name} ({outcome.name})")
            lines.append(f"::{level} title={title}::{_data(chr(10).join([case.summary, *case.story]))}")
    return lines


def summary(outcomes: Sequence[Outcome]) -> str:
    """The Markdown."""
    text = "\n".join(line for outcome in outcomes for line in _section(outcome))
    if len(text.encode()) < SUMMARY_BYTES_MAX:
        return text + "\n"
    kept = text.encode()[: SUMMARY_BYTES_MAX - 100].decode(errors="ignore")
    return kept.rpartition("\n")[0] + "\n```\n\nThe rest does not fit in here.\n"


def _section(outcome: Outcome) -> Iterator[str]:
    yield f"### {_mark(outcome.kind)} {outcome.kind}: {_cell(outcome.name)}"
    yield ""
    yield "| | checker | verdict | |"
    yield "|---|---|---|---|"
    for case in outcome.cases:
        yield f"| {_mark(case.kind)} | {_cell(case.name)} | {case.kind} | {_cell(case.summary)} |"
    yield ""
    for case in outcome.cases:
        if case.story and case.kind != "valid":
            yield f"**{_cell(case.name)}**"
            yield ""
            yield from _fenced(case.story[:STORY_LINES_MAX])
    for name, value in outcome.facts.items():
        yield f"- {name}: <code>{_cell(value)}</code>"
    yield ""


def _fenced(lines: Sequence[str]) -> Iterator[str]:
    """A block of text as it stands: its fence is longer than any that is in it."""
    ticks = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)
    yield from (fence + "text", *lines, fence, "")


def _mark(kind: Kind) -> str:
    return _MARKS.get(kind, _MARK_OF_DOUBT)


def _cell(text: str) -> str:
    """Text that is nothing but text in a cell of a table, a heading or a list."""
    return re.sub(r"([\\`*_~|\[\]])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
