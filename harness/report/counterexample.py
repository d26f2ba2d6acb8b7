"""Why a history is wrong: its smallest wrong part, an operation a line, each with its bar on one time axis.

The axis shows the order of invocations and completions, not their distances: order is all that
linearizability is about, and the operations of a violation are often milliseconds long and seconds apart.
The times themselves stand beside the bars.

What is wrong is in `Verdict.details`: `operations`, `explanation` (sentences), `key` and `blocked_at`, as
`checkers.linear` gives them. A verdict without these has no panel, and its summary must do.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import takewhile
from typing import Any, Final, NamedTuple

import msgspec
from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from checkers.models import show
from checkers.verdict import Status, Verdict
from harness.report.timeline import ASCII, Glyphs

PANELS_MAX: Final = 3
ROWS_MAX: Final = 24
BARS_MIN: Final = 16


class Told(msgspec.Struct, frozen=True):
    """One operation of a counterexample, as a checker tells it. `start` and `end` are the places of its
    events in the history, times nanoseconds or -1 (not recorded)."""

    process: int | str
    f: str
    value: Any
    outcome: str
    start: int
    end: int | None
    invoked_ns: int = -1
    completed_ns: int = -1
    open_at_the_end: bool = False

    @property
    def last(self) -> int | None:
        """The place of its completion; None if it may happen at any later time."""
        return None if self.open_at_the_end else self.end

    @property
    def in_words(self) -> str:
        """`write 3`, `cas 3 -> 4`, `read = 3`; what was not acknowledged says so."""
        if self.f == "cas" and isinstance(self.value, (list, tuple)) and len(self.value) == 2:
            text = f"cas {show(self.value[0])} -> {show(self.value[1])}"
        elif self.f in ("read", "get"):
            text = f"{self.f} = {show(self.value)}"
        else:
            text = self.f if self.value is None else f"{self.f} {show(self.value)}"
        return text + {"ok": "", "fail": " (failed)"}.get(self.outcome, " (unknown)")


class Strokes(NamedTuple):
    """How a bar is drawn: its ends, its middle, and the middle of one that stays open."""

    left: str
    middle: str
    right: str
    open: str


PLAIN: Final = Strokes("├", "─", "┤", "╌")
MARKED: Final = Strokes("╞", "═", "╡", "═")
PLAIN_ASCII: Final = Strokes("|", "-", "|", ".")
MARKED_ASCII: Final = Strokes("|", "=", "|", "=")

_STYLES: Final = {"ok": "", "fail": "dim"}


def panels(
    verdict: Verdict, width: int, glyphs: Glyphs, all_are: str = "in results.json"
) -> list[RenderableType]:
    """A panel for each violation that is told, at most `PANELS_MAX`, each `width` columns wide; `all_are`
    says where the others are."""
    found = [(leaf, told) for leaf in _leaves(verdict) if (told := operations(leaf))]
    shown: list[RenderableType] = [_panel(leaf, told, width, glyphs) for leaf, told in found[:PANELS_MAX]]
    if len(found) > PANELS_MAX:
        more = len(found) - PANELS_MAX
        shown.append(Text(f"  and {more} more violation{'s' * (more != 1)}, all {all_are}", "dim"))
    return shown


def operations(leaf: Verdict) -> list[Told]:
    """The operations of the counterexample, by invocation; none if the verdict is not invalid or has none."""
    if leaf.status is not Status.INVALID:
        return []
    try:
        told = msgspec.convert(leaf.details.get("operations", []), list[Told])
    except msgspec.ValidationError:
        return []
    return sorted(told, key=lambda operation: operation.start)


def bars(rows: Sequence[Told], blocked_at: int | None, width: int, ascii_only: bool = False) -> list[str]:
    """A bar for each row, at most `width` columns wide; all on one axis, which shows order only. The one
    whose completion is at `blocked_at` is drawn in double strokes."""
    places = sorted({row.start for row in rows} | {row.last for row in rows if row.last is not None})
    column = {place: rank * (width - 2) // max(1, len(places) - 1) for rank, place in enumerate(places)}
    plain, marked = (PLAIN_ASCII, MARKED_ASCII) if ascii_only else (PLAIN, MARKED)
    drawn = []
    for row in rows:
        strokes = marked if _is_blocked(row, blocked_at) else plain
        first = column[row.start]
        if row.last is None:
            bar = strokes.left + strokes.open * (width - first - 1)
        else:
            bar = strokes.left + strokes.middle * (column[row.last] - first - 1) + strokes.right
        drawn.append(" " * first + bar)
    return drawn


def _leaves(verdict: Verdict) -> Iterator[Verdict]:
    yield verdict
    for part in verdict.parts:
        yield from _leaves(part)


def _is_blocked(row: Told, blocked_at: int | None) -> bool:
    return row.last is not None and row.last == blocked_at


def _panel(leaf: Verdict, told: Sequence[Told], width: int, glyphs: Glyphs) -> RenderableType:
    """The sentences in their order; the operations where the sentences list them, or after the first."""
    key, blocked_at = leaf.details.get("key"), leaf.details.get("blocked_at")
    sentences = [_sentence(str(words)) for words in leaf.details.get("explanation") or [leaf.summary]]
    before = list(takewhile(lambda sentence: not sentence.startswith(" "), sentences))
    if len(before) == len(sentences):
        before = sentences[:1]
    after = [sentence for sentence in sentences[len(before) :] if not sentence.startswith(" ")]
    body: list[RenderableType] = [Text(before[0], "bold"), *map(Text, before[1:]), Text()]
    body.append(_rows(told[-ROWS_MAX:], blocked_at, width - 6, glyphs is ASCII))
    if len(told) > ROWS_MAX:
        body.append(Text(f"{len(told) - ROWS_MAX} earlier operations of it are not shown", "dim"))
    if any(_is_blocked(row, blocked_at) for row in told):
        mark = (MARKED_ASCII if glyphs is ASCII else MARKED).middle * 3
        whole = leaf.details.get("out_of", len(told)) == len(told)
        body.append(Text(f"{mark} fits into no order of {'the others' if whole else 'all of them'}", "red"))
    if after:
        body += [Text(), *map(Text, after)]
    title = Text("Counterexample" if key is None else f"Counterexample: key {key}", "bold red")
    return Panel(
        Group(*body),
        title=title,
        title_align="left",
        subtitle=Text(leaf.checker),
        subtitle_align="right",
        border_style="red",
        padding=(1, 2),
        box=box.ROUNDED,
    )


def _sentence(words: str) -> str:
    """With a capital letter and a full stop; the indented ones, which list operations, stay as they are."""
    if not words or words[0] == " ":
        return words
    return words[0].upper() + words[1:] + ("" if words[-1] in ".:" else ".")


def _rows(rows: Sequence[Told], blocked_at: int | None, width: int, ascii_only: bool) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    timed = all(row.invoked_ns >= 0 for row in rows)
    unit = "s" if timed else "event"
    header = ("process", "operation", f"from {unit}", f"to {unit}", "order in time")
    cells = [(str(row.process), row.in_words, *_span(row, timed)) for row in rows]
    taken = sum(max(map(len, column)) + 2 for column in zip(header[:4], *cells, strict=True))
    drawn = bars(rows, blocked_at, max(BARS_MIN, width - taken), ascii_only)
    table.add_row(*(Text(word, "dim") for word in header))
    for row, words, bar in zip(rows, cells, drawn, strict=True):
        style = "bold red" if _is_blocked(row, blocked_at) else _STYLES.get(row.outcome, "magenta")
        table.add_row(*(Text(word, style) for word in words), Text(bar, style))
    return table


def _span(row: Told, timed: bool) -> tuple[str, str]:
    """When it began and ended: in seconds, or as places in the history if no times were recorded."""
    begin = f"{row.invoked_ns / 1e9:.3f}" if timed else str(row.start)
    if row.last is None:
        return begin, "open"
    return begin, f"{row.completed_ns / 1e9:.3f}" if timed else str(row.last)
