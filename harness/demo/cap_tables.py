"""The tables of `harness demo cap`: what each side was served, and what that cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from harness.demo.cap_measure import Measured, Served

NONE: Final = "-"


LEGEND: Final = """\
  stale: lacks what had been acknowledged before the read began; the worst by items, by seconds
  lack lost: lacks nothing but what is lost for good; siblings: the read gave several values
  own/seen: lacks what its client had added, or had seen before; if none does, 'sessions' held
  equal: how long after the healing all copies agreed on what had been acknowledged before it
"""


def tables(found: Sequence[Measured]) -> list[RenderableType]:
    return [_served(found), _cost(found), Text(LEGEND, "dim")]


def _served(found: Sequence[Measured]) -> Table:
    table = _table("What each side's clients were served")
    for title in ("before", "during:\nmajority", "during:\nminority", "after"):
        table.add_column(title, justify="right")
    for title in ("p50/p99 ms,\nmajority", "p50/p99 ms,\nminority", "noticed s,\nmaj./min."):
        table.add_column(title, justify="right")
    for one in found:
        during = one.served["during"]
        table.add_row(
            one.setting,
            _both(one.served["before"]),
            *(_share(during[side]) for side in ("majority", "minority")),
            _both(one.served["after"]),
            *(_latency(during[side]) for side in ("majority", "minority")),
            "/".join([_seconds(one.detect_s[side]) for side in ("majority", "minority")]),
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
        "own/\nseen",
        "sib-\nlings",
        "equal\ns",
    ):
        table.add_column(title, justify="right")
    table.add_column("strongest level held;\ngravest anomaly", min_width=21)
    for one in found:
        counts = one.counts
        worst = f"{counts['missing_max']}, {counts['late_max_s']:.1f}" if counts["stale_reads"] else NONE
        table.add_row(
            one.setting,
            str(counts["acknowledged"]),
            "?" if counts["lost"] is None else f"[red]{counts['lost']}[/]" if counts["lost"] else "0",
            f"{counts['stale_reads']}/{counts['reads']}",
            worst,
            str(counts["bereft_reads"]),
            f"{counts['read_your_writes']}/{counts['monotonic_reads']}",
            str(counts["sibling_reads"]),
            _seconds(one.converge_s),
            one.strongest + (f";\n[red]{one.anomaly}[/]" if one.anomaly else ""),
        )
    return table


def _table(title: str) -> Table:
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    table.add_column("setting", no_wrap=True)
    return table


def _both(sides: dict[str, Served]) -> str:
    asked = sum(side.asked for side in sides.values())
    served = sum(side.served for side in sides.values())
    return percent(served, asked)


def _share(side: Served) -> str:
    return percent(side.served, side.asked)


def percent(served: int, asked: int) -> str:
    """Never rounded to all or nothing."""
    if not asked:
        return NONE
    if 0 < served < asked:
        return f"{min(max(100 * served / asked, 0.1), 99.9):.1f}%"
    return f"{100 * served // asked}%"


def _latency(side: Served) -> str:
    if side.p50_ms is None or side.p99_ms is None:
        return NONE
    return f"{side.p50_ms:.1f}/{side.p99_ms:.1f}"


def _seconds(value: float | None) -> str:
    return NONE if value is None else f"{value:.1f}"
