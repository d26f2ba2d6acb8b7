"""The picture of `harness demo cap`: who was served what, over time.

For each node a row of what it says of the ring, and below it its client's operations. A column shows the
worst of what ended in its time, or else that somebody waits in vain. Within the cut the ground is shaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.padding import Padding
from rich.text import Text

from harness.demo.cap_measure import Measured

COLUMNS: Final = 80
"""At most; as many as there is room for, but no fewer than the next."""
COLUMNS_MIN: Final = 20
MARGIN: Final = 14
"""Columns of what stands before each row."""
MARKS: Final = {
    "refused": ("×", "bold red"),
    "bereft": ("†", "red"),
    "stale": ("○", "yellow"),
    "served": ("·", "green"),
    "waits": ("-", "red"),
}
"""From the worst."""
SEES: Final = ("▒", "magenta")
GROUND: Final = "on grey19"
LEGEND: Final = (
    "▒ the node says that it is partitioned; its client: · served, ○ a stale read, † a read that lacks only "
    "what is lost for good, - waits in vain, × refused or not answered"
)


class Picture:
    """As wide as there is room for."""

    def __init__(self, found: Sequence[Measured]) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield Text("Over time", "bold")
        yield Padding(Text(LEGEND, "dim"), (0, 0, 0, 2))
        columns = max(COLUMNS_MIN, min(COLUMNS, options.max_width - MARGIN))
        for one in self._found:
            yield from picture(one, columns)
        yield Text()


def picture(one: Measured, columns: int = COLUMNS) -> list[Text]:
    lines = [Text(f"\n  {one.setting}", "bold"), _ruler(one, columns)]
    for side, nodes in (("majority", one.majority), ("minority", one.minority)):
        for node in nodes:
            lines.append(_row(node, _sight(one, node, columns), one))
            lines.append(_row(f"  {side}", _client(one, node, columns), one))
    return lines


Cells = list[tuple[str, str]]
"""A character and its style, a column each."""


def _ruler(one: Measured, columns: int) -> Text:
    cut = [_shaded(one, column, columns) for column in range(columns)]
    line = "".join(["█" if shaded else "─" for shaded in cut])
    text = f" cut {one.cut_at_s:.1f} to {one.healed_at_s:.1f} s "
    start = cut.index(True) + 1 if True in cut else 0
    if len(text) < sum(cut):
        line = line[:start] + text + line[start + len(text) :]
    return Text(f"  {'':<{MARGIN - 2}}{line}", "dim", no_wrap=True)


def _shaded(one: Measured, column: int, columns: int) -> bool:
    middle_s = (column + 0.5) * one.end_s / columns
    return one.cut_at_s <= middle_s <= one.healed_at_s


def _sight(one: Measured, node: str, columns: int) -> Cells:
    wide_s = one.end_s / columns
    return [
        SEES
        if any(start < (column + 1) * wide_s and end > column * wide_s for start, end in one.sees[node])
        else (" ", "")
        for column in range(columns)
    ]


def _client(one: Measured, node: str, columns: int) -> Cells:
    """An operation stands where it ended; one that was refused waited until then."""
    order = list(MARKS)
    worst = [len(order)] * columns

    def column_of(at_s: float) -> int:
        return min(max(ceil(at_s * columns / one.end_s) - 1, 0), columns - 1)

    for mark in one.marks:
        if mark.node == node:
            ended = column_of(mark.end_s)
            worst[ended] = min(worst[ended], order.index(mark.what))
            for column in range(column_of(mark.start_s), ended if mark.what == "refused" else 0):
                worst[column] = min(worst[column], order.index("waits"))
    return [MARKS[order[what]] if what < len(order) else (" ", "") for what in worst]


def _row(name: str, cells: Cells, one: Measured) -> Text:
    row = Text(f"  {name:<{MARGIN - 2}}", no_wrap=True)
    for column, (character, style) in enumerate(cells):
        row.append(character, f"{style} {GROUND}" if _shaded(one, column, len(cells)) else style)
    return row
