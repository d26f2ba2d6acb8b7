"""What GitHub Actions shows of a run: annotations, and a summary of the step in Markdown.

Annotations are lines that the runner reads off any output of a step; it keeps ten errors and ten warnings of
one, and the first 255 characters of a title. What a step's summary may hold is a mebibyte, all of the step's
commands together; of longer ones GitHub shows nothing, so it is cut.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from harness.report.outcome import Kind, Outcome

ANNOTATIONS_MAX: Final = 10
TITLE_CHARS_MAX: Final = 255
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
_CUT: Final = "\nThe rest does not fit in here.\n"


def annotation_lines(outcomes: Iterable[Outcome]) -> list[str]:
    """A line for each case that is not valid, the worst first; of too many, the last says how many more."""
    found = [
        (_LEVELS[case.kind], outcome, case)
        for outcome in outcomes
        for case in outcome.cases
        if case.kind in _LEVELS
    ]
    lines = []
    for level in ("error", "warning"):
        own = [(outcome, case) for at, outcome, case in found if at == level]
        shown = own if len(own) <= ANNOTATIONS_MAX else own[: ANNOTATIONS_MAX - 1]
        for outcome, case in shown:
            title = _property(f"{case.kind}: {case.name} ({outcome.name})"[:TITLE_CHARS_MAX])
            lines.append(f"::{level} title={title}::{_data(chr(10).join([case.summary, *case.story]))}")
        if len(own) > len(shown):
            lines.append(f"::{level}::and {len(own) - len(shown)} more, which GitHub would not show")
    return lines


def summary(outcomes: Sequence[Outcome], room_bytes: int = SUMMARY_BYTES_MAX) -> str:
    """The Markdown, of at most `room_bytes`: as many blocks as fit, each of them whole."""
    text = ""
    for outcome in outcomes:
        for block in _blocks(outcome):
            if len(text.encode()) + len(block.encode()) > room_bytes - len(_CUT):
                return text + _CUT if room_bytes >= len(_CUT) else ""
            text += block
    return text


def _blocks(outcome: Outcome) -> Iterator[str]:
    """What stands by itself: the table with its heading, each story, the facts."""
    rows = [
        f"| {_mark(case.kind)} | {_cell(case.name)} | {case.kind} | {_cell(case.summary)} |"
        for case in outcome.cases
    ]
    heading = f"### {_mark(outcome.kind)} {outcome.kind}: {_cell(outcome.name)}"
    yield _lines(heading, "", "| | checker | verdict | |", "|---|---|---|---|", *rows, "")
    for case in outcome.cases:
        if case.story and case.kind != "valid":
            yield _lines(f"**{_cell(case.name)}**", "", *_fenced(case.story[:STORY_LINES_MAX]), "")
    yield _lines(*(f"- {name}: <code>{_cell(value)}</code>" for name, value in outcome.facts.items()), "")


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)


def _fenced(lines: Sequence[str]) -> tuple[str, ...]:
    """A block of text as it stands: its fence is longer than any that is in it."""
    ticks = max((len(run) for line in lines for run in re.findall("`+", line)), default=0)
    fence = "`" * max(3, ticks + 1)
    return (fence + "text", *lines, fence)


def _mark(kind: Kind) -> str:
    return _MARKS.get(kind, _MARK_OF_DOUBT)


def _cell(text: str) -> str:
    """Text that is nothing but text in a cell of a table, a heading or a list."""
    return re.sub(r"([\\`*_~|\[\]])", r"\\\1", html.escape(" ".join(text.split()), quote=False))


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
