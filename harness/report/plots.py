"""The plots of a run as SVG files beside its report: latency, rate and, if they were seen, clocks.

Each stands alone, in light and in dark, and shades the time in which a fault was there. Latencies are drawn
as cells of a grid, the darker the more operations, so that a file is small however many there were; their
scale is logarithmic. That of clocks is linear within a millisecond and logarithmic beyond.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib import resources
from itertools import groupby
from typing import Final, NamedTuple

from checkers.history import Op, Operation, pair
from checkers.linear.draw.words import escaped
from checkers.stats import quantile
from harness.ledger import Entry
from harness.report import perf
from harness.report.html.data import clock_moves
from harness.report.summary import RunSummary
from harness.sightings import Sighting

WIDTH: Final = 1000
HEIGHT: Final = 320
LEFT: Final = 78
RIGHT: Final = 16
TOP: Final = 46
BOTTOM: Final = 34
CELL: Final = 4
"""Of the grid of latencies, in pixels."""
BUCKETS: Final = 120
SERIES: Final = 8
SHADE: Final = 0.08
SHADES_MAX: Final = 4
_PLOT_WIDTH: Final = WIDTH - LEFT - RIGHT
_PLOT_HEIGHT: Final = HEIGHT - TOP - BOTTOM


class Scale(NamedTuple):
    """`y` gives pixels from the top of the file; `ticks` are the values that are named, with their names."""

    y: Callable[[float], float]
    ticks: Sequence[tuple[float, str]]


def plots(run: RunSummary, sightings: Sequence[Sighting] = ()) -> dict[str, str]:
    """SVG by the name of its file; nothing for a run without recorded times."""
    span_s = perf.duration_s(run.history)
    if span_s <= 0:
        return {}
    made = {
        "latency.svg": latency(pair(run.history), run.entries, span_s),
        "rate.svg": rate(run.history, run.entries, span_s),
    }
    moves = clock_moves(sightings)
    if moves:
        made["clocks.svg"] = clocks(moves, run.entries, max(span_s, *(at[-1][0] for at in moves.values())))
    return made


def latency(operations: Iterable[Operation], entries: Sequence[Entry], span_s: float) -> str:
    """Every operation that completed, and the median and the 99th percentile of those that were ok."""
    timed = [
        (operation.invoke.time / 1e9, max(took_ns, 1000) / 1e6, operation.outcome)
        for operation in operations
        if operation.completion is not None
        and operation.invoke.time >= 0
        and (took_ns := operation.completion.time - operation.invoke.time) >= 0
    ]
    scale = _logarithmic([took_ms for _, took_ms, _ in timed])
    cells: Counter[tuple[int, int, str]] = Counter(
        (int(_x(at_s, span_s) // CELL), int(scale.y(took_ms) // CELL), outcome)
        for at_s, took_ms, outcome in timed
    )
    most = max(cells.values(), default=1)
    body = [
        f'<rect x="{column * CELL}" y="{row * CELL}" width="{CELL}" height="{CELL}" fill="var(--{outcome})" '
        f'opacity="{0.35 + 0.65 * math.log1p(count) / math.log1p(most):.2f}"/>'
        for (column, row, outcome), count in sorted(cells.items(), key=_worst_last)
    ]
    own: defaultdict[int, list[float]] = defaultdict(list)
    for at_s, took_ms, outcome in timed:
        if outcome == "ok":
            own[min(BUCKETS - 1, int(at_s / span_s * BUCKETS))].append(took_ms)
    for name, fraction in (("p99", 0.99), ("p50", 0.5)):
        points = [
            (_x((bucket + 0.5) * span_s / BUCKETS, span_s), scale.y(quantile(sorted(found), fraction)))
            for bucket, found in sorted(own.items())
        ]
        body.append(_curve(points, f"var(--{name})"))
    keys = [*((f"--{outcome}", outcome) for outcome in perf.OUTCOMES), ("--p50", "p50"), ("--p99", "p99")]
    return _document("Latency", keys, scale, body, entries, span_s)


def rate(history: Sequence[Op], entries: Sequence[Entry], span_s: float) -> str:
    """Completions per second in each bucket, one outcome on the other."""
    flow = perf.throughput(history, span_s, BUCKETS)
    rates = [[count / flow.bucket_s for count in counts] for counts in (flow.ok, flow.fail, flow.info)]
    peak = max(map(sum, zip(*rates, strict=True)), default=0.0) or 1.0
    step = _nice(peak / 4)
    top = math.ceil(peak / step) * step
    scale = Scale(
        lambda value: TOP + _PLOT_HEIGHT * (1 - value / top),
        [(n * step, f"{n * step:g}/s") for n in range(round(top / step) + 1)],
    )
    body = []
    for bucket, column in enumerate(zip(*rates, strict=True)):
        left = _x(bucket * flow.bucket_s, span_s)
        width = max(0.5, min(_x((bucket + 1) * flow.bucket_s, span_s), WIDTH - RIGHT) - left - 0.8)
        below = 0.0
        for outcome, value in zip(perf.OUTCOMES, column, strict=True):
            if value:
                y, bottom = scale.y(below + value), scale.y(below)
                body.append(
                    f'<rect x="{left:.1f}" y="{y:.1f}" width="{width:.1f}" height="{bottom - y:.1f}" '
                    f'fill="var(--{outcome})"/>'
                )
            below += value
    keys = [(f"--{outcome}", outcome) for outcome in perf.OUTCOMES]
    return _document("Completions per second", keys, scale, body, entries, span_s)


def clocks(
    moves: Mapping[str, Sequence[tuple[float, float]]], entries: Sequence[Entry], span_s: float
) -> str:
    """How far each node's clock was ahead, in steps from one time it was seen to the next."""
    most = max([abs(ms) for seen in moves.values() for _, ms in seen] + [1.0])
    reach = math.log10(1 + most) * 1.05
    middle = TOP + _PLOT_HEIGHT / 2

    def y(ms: float) -> float:
        return middle - math.copysign(math.log10(1 + abs(ms)) / reach, ms) * _PLOT_HEIGHT / 2

    powers = [10.0**power for power in range(12) if math.log10(1 + 10.0**power) < reach]
    ticks = [(0.0, "0")]
    ticks += [(sign * ms, f"{'+' if sign > 0 else '−'}{_ms(ms)}") for ms in powers for sign in (1, -1)]
    body, keys = [], []
    for number, (node, seen) in enumerate(sorted(moves.items())):
        colour = f"--s{number % SERIES}"
        points: list[tuple[float, float]] = []
        for at_s, ms in seen:
            x = _x(at_s, span_s)
            points += [(x, points[-1][1])] if points else []
            points.append((x, y(ms)))
        body.append(_curve(points, f"var({colour})"))
        keys.append((colour, node))
    return _document("Clocks: how far ahead", keys, Scale(y, ticks), body, entries, span_s)


@cache
def _style() -> str:
    return resources.files(__package__).joinpath("plots.css").read_text("utf-8")


def _document(
    title: str,
    keys: Sequence[tuple[str, str]],
    scale: Scale,
    body: Sequence[str],
    entries: Sequence[Entry],
    span_s: float,
) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-labelledby="title" '
            f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}">',
            f'<title id="title">{escaped(title)}</title>',
            f"<style>{_style()}</style>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="var(--ground)"/>',
            f'<text class="title" x="{LEFT}" y="22">{escaped(title)}</text>',
            *_legend(keys),
            *_shades(entries, span_s),
            *_grid(scale, span_s),
            *body,
            "</svg>\n",
        ]
    )


def _legend(keys: Sequence[tuple[str, str]]) -> list[str]:
    parts, x = [], LEFT + 220.0
    for colour, name in keys:
        parts.append(f'<rect x="{x:g}" y="12" width="11" height="11" rx="2" fill="var({colour})"/>')
        parts.append(f'<text x="{x + 16:g}" y="22">{escaped(name)}</text>')
        x += 36 + 7.5 * len(name)
    return parts


def _shades(entries: Sequence[Entry], span_s: float) -> list[str]:
    """The darker the more faults there were, up to so many that what is drawn over them can be told."""
    columns: list[list[str]] = [[] for _ in range(_PLOT_WIDTH)]
    for entry in entries:
        if entry.applied_s is not None:
            healed_s = span_s if entry.healed_s is None else min(entry.healed_s, span_s)
            first = min(_PLOT_WIDTH - 1, int(_x(entry.applied_s, span_s)) - LEFT)
            last = max(first + 1, round(_x(healed_s, span_s)) - LEFT)
            for column in columns[first:last]:
                column.append(entry.fault)
    parts, x = [], LEFT
    for faults, same in groupby(columns):
        width = len(list(same))
        if faults:
            parts.append(
                f'<rect class="shade" x="{x}" y="{TOP}" width="{width}" height="{_PLOT_HEIGHT}" '
                f'opacity="{SHADE * min(SHADES_MAX, len(faults)):g}">'
                f"<title>{escaped(', '.join(dict.fromkeys(faults)))}</title></rect>"
            )
        x += width
    return parts


def _grid(scale: Scale, span_s: float) -> list[str]:
    parts = []
    for value, name in scale.ticks:
        y = scale.y(value)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{escaped(name)}</text>')
    step = _nice(span_s / 10)
    for tick in range(math.floor(span_s / step) + 1):
        x = _x(tick * step, span_s)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(
            f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{tick * step:g} s</text>'
        )
    return parts


def _curve(points: Sequence[tuple[float, float]], colour: str) -> str:
    drawn = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="curve" points="{drawn}" stroke="{colour}"/>'


def _logarithmic(values_ms: Sequence[float]) -> Scale:
    low = math.floor(math.log10(min(values_ms, default=1.0)))
    high = max(low + 1, math.ceil(math.log10(max(values_ms, default=1.0))))
    return Scale(
        lambda ms: TOP + _PLOT_HEIGHT * (1 - (math.log10(ms) - low) / (high - low)),
        [(10.0**power, _ms(10.0**power)) for power in range(low, high + 1)],
    )


def _x(at_s: float, span_s: float) -> float:
    return LEFT + _PLOT_WIDTH * at_s / span_s


def _nice(least: float) -> float:
    """The smallest of 1, 2, 5, 10, 20, ... that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next((factor * power for factor in (1, 2, 5) if factor * power >= least), 10 * power)


def _ms(value: float) -> str:
    return (
        f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms" if value >= 1 else f"{value * 1000:g} µs"
    )


def _worst_last(cell: tuple[tuple[int, int, str], int]) -> tuple[int, int, int]:
    (column, row, outcome), _ = cell
    return perf.OUTCOMES.index(outcome), column, row
