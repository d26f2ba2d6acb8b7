"""The run on one strip: throughput by outcome over time, and beneath it when each fault was there.

All rows share the columns: column c covers the bucket from c * bucket_s on. Each throughput row is scaled to
its own peak, which is printed beside it; a bucket with anything in it is never blank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from rich.text import Text

from checkers.history import Op
from harness.ledger import Entry
from harness.report import perf

LABEL_CHARS: Final = 10
PEAK_CHARS: Final = 7
COLUMNS_MIN: Final = 8
COLUMNS_MAX: Final = 120
STYLES: Final = {"ok": "green", "fail": "yellow", "info": "magenta"}


class Glyphs(NamedTuple):
    """What a terminal can draw. `spark` goes from the least to the most; `bit`: a fault that was seen to
    bite, `unseen`: one that was not."""

    spark: str
    bit: str
    unseen: str
    axis: str
    tick: str


UNICODE: Final = Glyphs("▁▂▃▄▅▆▇█", "█", "░", "─", "┴")
ASCII: Final = Glyphs(".:-=+*#@", "#", "?", "-", "+")

_TICKS_S: Final = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1200, 1800, 3600, 7200, 14400)


def strip(
    history: Sequence[Op], entries: Sequence[Entry], span_s: float, width: int, glyphs: Glyphs = UNICODE
) -> Text | None:
    """The strip, at most `width` columns wide; None for a run without recorded times."""
    if span_s <= 0:
        return None
    flow = perf.throughput(
        history, span_s, max(COLUMNS_MIN, min(COLUMNS_MAX, width - LABEL_CHARS - PEAK_CHARS - 1))
    )
    lines = []
    for outcome in perf.OUTCOMES:
        counts: tuple[int, ...] = getattr(flow, outcome)
        if any(counts):
            peak = f"{max(counts) / flow.bucket_s:,.0f}/s"
            lines.append(_line(outcome, peak, sparkline(counts, glyphs.spark), STYLES[outcome]))
    columns = len(flow.ok)
    lines += _axis(columns, flow.bucket_s, glyphs)
    for fault in dict.fromkeys(entry.fault for entry in entries):
        own = [entry for entry in entries if entry.fault == fault and entry.applied_s is not None]
        lines.append(_line(fault, f"x{len(own)}", fault_bar(own, columns, flow.bucket_s, glyphs), "red"))
    legend = f"rates are peaks   {glyphs.bit} fault bit   {glyphs.unseen} not seen to bite"
    lines.append(_line("", "", legend if entries else "rates are peaks", "dim"))
    return Text("\n").join(lines)


def sparkline(counts: Sequence[int], spark: str) -> str:
    """A character for each count, scaled to the largest; a space for zero only."""
    most = max(counts, default=0)
    return "".join(spark[(count * len(spark) - 1) // most] if count else " " for count in counts)


def fault_bar(entries: Sequence[Entry], columns: int, bucket_s: float, glyphs: Glyphs) -> str:
    """Where the faults were: from the bucket of their injection to that of their healing, or to the end."""
    cells = [" "] * columns
    for entry in entries:
        if entry.applied_s is None:
            continue
        first = min(columns - 1, int(entry.applied_s / bucket_s))
        last = columns - 1 if entry.healed_s is None else min(columns - 1, int(entry.healed_s / bucket_s))
        for column in range(first, last + 1):
            if cells[column] != glyphs.bit:
                cells[column] = glyphs.bit if entry.observed else glyphs.unseen
    return "".join(cells)


def _axis(columns: int, bucket_s: float, glyphs: Glyphs) -> list[Text]:
    """A rule with ticks, and under each tick its time in seconds."""
    step_s = next((tick for tick in _TICKS_S if tick / bucket_s >= 8), columns * bucket_s)
    rule = [glyphs.axis] * columns
    labels = [" "] * columns
    at_s = 0.0
    while (column := round(at_s / bucket_s)) < columns:
        rule[column] = glyphs.tick
        label = f"{at_s:g}" + (" s" if at_s == 0 else "")
        if column + len(label) <= columns:
            labels[column : column + len(label)] = label
        at_s += step_s
    return [_line("", "", "".join(rule), "dim"), _line("", "", "".join(labels).rstrip(), "dim")]


def _line(label: str, figure: str, cells: str, style: str) -> Text:
    shown = label if len(label) < LABEL_CHARS else label[: LABEL_CHARS - 2] + "~"
    return Text.assemble(
        f"{shown:<{LABEL_CHARS}}",
        (f"{figure:>{PEAK_CHARS}} ", "dim"),
        (cells, style),
        no_wrap=True,
    )
