"""The tables of `harness demo cap`: what each side was served, what that cost it, and what held."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from harness.demo.cap_measure import SIDES, Measured
from harness.demo.served import Served

NONE: Final = "-"


LEGEND: Final = """\
stale: lacks what had been acknowledged before the read began; the worst by items, by seconds
lack lost: lacks nothing but what is lost for good; siblings: the read gave several values
own/seen/order, broken sessions: reads that lack what their own client had added, or had seen before, or \
show an item without what its client had seen or added before it
equal: how long after the healing all copies agreed on what had been acknowledged before it
levels, from the strongest: linearizable; sessions: none broken, and the next; eventual: nothing \
acknowledged lost, and the next; convergent: copies equal
"""


def tables(found: Sequence[Measured]) -> list[RenderableType]:
    legend = Padding(Text(LEGEND, "dim"), (0, 0, 0, 2))
    return [_served(found), _cost(found), _held(found), legend]


def _served(found: Sequence[Measured]) -> Table:
    table = _table("What each side's clients were served")
    for title in ("before", "during\nthe cut", "after", "during:\np50 ms", "\np99 ms", "noticed\ns"):
        table.add_column(title, justify="right", overflow="fold")
    for one, side in _sides(found, table):
        phases = {phase: sides[side] for phase, sides in one.served.items()}
        table.add_row(
            f"  {side}",
            *(_share(phases[phase]) for phase in ("before", "during", "after")),
            _number(phases["during"].p50_ms),
            _number(phases["during"].p99_ms),
            _number(one.detect_s[side]),
        )
    return table


def _cost(found: Sequence[Measured]) -> Table:
    table = _table("What it cost")
    for title in (
        "adds\nacked",
        "lost",
        "stale\nreads",
        "worst:\nitems, s",
        "lack\nlost",
        "sib-\nlings",
        "own/seen/\norder",
    ):
        table.add_column(title, justify="right", overflow="fold")
    for one, side in _sides(found, table):
        counts = one.counts_by_side[side]
        worst = f"{counts['missing_max']}, {_number(counts['late_max_s'])}"
        table.add_row(
            f"  {side}",
            str(counts["acknowledged"]),
            _lost(counts),
            f"{counts['stale_reads']}/{counts['reads']}",
            worst if counts["stale_reads"] else NONE,
            str(counts["bereft_reads"]),
            str(counts["sibling_reads"]),
            f"{counts['read_your_writes']}/{counts['monotonic_reads']}/{counts['out_of_order']}",
        )
    return table


def _held(found: Sequence[Measured]) -> Table:
    table = _table("What held")
    table.add_column("equal s", justify="right", overflow="fold")
    table.add_column("strongest level held", overflow="fold")
    table.add_column("gravest anomaly", overflow="fold")
    for one in found:
        doubt = f" ({', '.join(one.undecided)}: not decided)" if one.undecided else ""
        anomaly = f"[red]{one.anomaly}[/]" if one.anomaly else NONE
        table.add_row(one.setting, _number(one.converge_s), one.strongest + doubt, anomaly)
    return table


def _sides(found: Sequence[Measured], table: Table) -> Iterator[tuple[Measured, str]]:
    """A line of `table` has the setting's name, and the next ones are to have its sides."""
    for one in found:
        table.add_row(f"[bold]{one.setting}[/]")
        yield from ((one, side) for side in SIDES)


def _lost(counts: dict[str, Any]) -> str:
    if counts["lost"] is None:
        return "?"
    return f"[red]{counts['lost']}[/]" if counts["lost"] else "0"


def _table(title: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("setting", overflow="fold")
    return table


def _share(side: Served) -> str:
    return percent(side.served, side.asked)


def percent(served: int, asked: int) -> str:
    """Never rounded to all or nothing."""
    if not asked:
        return NONE
    if 0 < served < asked:
        return f"{min(max(100 * served / asked, 0.1), 99.9):.1f}%"
    return f"{100 * served // asked}%"


def _number(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"
