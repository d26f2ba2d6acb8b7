"""The picture of `harness demo cap`: who was served what, over time.

For each node a row of what it says of the ring, and below it its client's operations. A column shows the
worst of its time, in the order of the legend from its end. Within the cut the ground is shaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Final

from rich.text import Text

from harness.demo.cap_measure import Measured

COLUMNS: Final = 80
MARKS: Final = {
    "refused": ("×", "bold red"),
    "bereft": ("†", "red"),
    "stale": ("○", "yellow"),
    "served": ("·", "green"),
}
"""From the worst."""
SEES: Final = ("▒", "magenta")
GROUND: Final = "on grey19"
LEGEND: Final = (
    "▒ the node says that it is partitioned; its client: · served, ○ a stale read,",
    "† a read that lacks only what is lost for good, × refused or not answered",
)


def picture(found: Sequence[Measured]) -> list[Text]:
    lines = [Text("Over time", "bold"), *(Text(f"  {line}", "dim") for line in LEGEND)]
    for one in found:
        lines += [Text(f"\n  {one.setting}", "bold"), _ruler(one)]
        for side, nodes in (("majority", one.majority), ("minority", one.minority)):
            for node in nodes:
                lines += [_row(node, _sight(one, node), one), _row(f"  {side}", _client(one, node), one)]
    return [*lines, Text()]


Cells = list[tuple[str, str]]
"""A character and its style, a column each."""


def column_s(one: Measured) -> float:
    """How many seconds a column has."""
    return one.end_s / COLUMNS


def _ruler(one: Measured) -> Text:
    cut = [_shaded(one, column) for column in range(COLUMNS)]
    line = "".join(["█" if shaded else "─" for shaded in cut])
    text = f" cut {one.cut_at_s:.1f} to {one.healed_at_s:.1f} s "
    start = cut.index(True) + 1 if True in cut else 0
    if len(text) < sum(cut):
        line = line[:start] + text + line[start + len(text) :]
    return Text(f"  {'':<12}{line}", "dim")


def _shaded(one: Measured, column: int) -> bool:
    middle_s = (column + 0.5) * column_s(one)
    return one.cut_at_s <= middle_s <= one.healed_at_s


def _sight(one: Measured, node: str) -> Cells:
    wide_s = column_s(one)
    return [
        SEES
        if any(start < (column + 1) * wide_s and end > column * wide_s for start, end in one.sees[node])
        else (" ", "")
        for column in range(COLUMNS)
    ]


def _client(one: Measured, node: str) -> Cells:
    """An operation stands where it ended."""
    order = list(MARKS)
    worst = [len(order)] * COLUMNS
    for mark in one.marks:
        if mark.node == node:
            column = min(max(ceil(mark.end_s / column_s(one)) - 1, 0), COLUMNS - 1)
            worst[column] = min(worst[column], order.index(mark.what))
    return [MARKS[order[what]] if what < len(order) else (" ", "") for what in worst]


def _row(name: str, cells: Cells, one: Measured) -> Text:
    row = Text(f"  {name:<12}")
    for column, (character, style) in enumerate(cells):
        row.append(character, f"{style} {GROUND}" if _shaded(one, column) else style)
    return row
