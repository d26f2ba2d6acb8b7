"""Where things are: a lane for each process, and a time axis on which every label has room.

The axis keeps the order of events exactly and their distances roughly: a step is as wide as the logarithm of
the time it stands for, because operations of a violation are milliseconds long and seconds apart. Order is
that of the history, which decides, also where recorded times go back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log2
from typing import Final, NamedTuple

from checkers.linear.draw.story import Told
from checkers.linear.draw.words import columns, duration, seconds

LANE_HEIGHT: Final = 58
TOP: Final = 34
"""Above the first lane, for the axis."""
CHAR: Final = 7.3
"""Of a label, in pixels."""
_MARGIN: Final = 16
_STEP: Final = 30.0
_STEP_MAX: Final = 84.0
_IDLE: Final = 8
"""A quiet time so many times longer than the median step is marked as one."""
_IDLE_WIDTH: Final = 76.0
_TICK_DISTANCE: Final = 92
_WIDTH_MIN: Final = 640.0
_OPEN_END: Final = 56.0


class Tick(NamedTuple):
    x: float
    text: str


class Idle(NamedTuple):
    """Nothing that must have ended by its end was open in that time."""

    left: float
    right: float
    text: str


class Point(NamedTuple):
    """Where an operation takes effect: its number, x, and y."""

    operation: int
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Axis:
    """Pixels. `lanes`: the processes; by operation: `lane`; `left` and `right`, the ends of its bar; `clear`,
    what its label and bar need from `left` on. `timed`: ticks are times."""

    lanes: tuple[str, ...]
    lane: tuple[int, ...]
    left: tuple[float, ...]
    right: tuple[float, ...]
    clear: tuple[float, ...]
    width: float
    ticks: tuple[Tick, ...]
    idle: tuple[Idle, ...]
    timed: bool
    _edges: tuple[float, ...] = field(repr=False)
    _begins: tuple[int, ...] = field(repr=False)

    @property
    def height(self) -> float:
        return TOP + LANE_HEIGHT * len(self.lanes) + 8

    def lane_top(self, lane: int) -> float:
        return TOP + LANE_HEIGHT * lane

    def points(self, order: Sequence[int]) -> list[Point]:
        """A point in time for each of these operations, in this order, within its bar (which there is, if
        the order respects real time): as early as it can be."""
        slots = []
        latest = 0
        for number in order:
            latest = max(latest, self._begins[number])
            slots.append(latest)
        found = []
        for place, (number, slot) in enumerate(zip(order, slots, strict=True)):
            nth, of = place - slots.index(slot) + 1, slots.count(slot)
            left, right = self._edges[slot], self._edges[slot + 1]
            x = left + (right - left) * nth / (of + 1)
            found.append(Point(number, x, self.lane_top(self.lane[number]) + 39))
        return found


def axis(operations: Sequence[Told], labels: Sequence[str], accused: int | None = None) -> Axis:
    """`operations` by start; `labels` are what is written above their bars, and may be longer than they. The
    bar of the `accused` is never short."""
    lanes = tuple(dict.fromkeys(str(each.process) for each in operations))
    times = _times(operations)
    places = sorted(times)
    rank = {place: number for number, place in enumerate(places)}
    timed = all(time >= 0 for time in times.values())
    quiet = _quiet(operations, places)
    spans = [times[b] - times[a] for a, b in pairwise(places)] if timed else []
    steps, long = _steps(spans, quiet, len(places))
    needed = [columns(label) * CHAR + 14 for label in labels]
    if accused is not None and (last := operations[accused].last) is not None:
        steps[rank[last] - 1] = max(steps[rank[last] - 1], _STEP_MAX)
    edges = _edges(steps, operations, rank, needed)
    left = tuple(edges[rank[each.start]] for each in operations)
    right = tuple(edges[-1] if each.last is None else edges[rank[each.last]] for each in operations)
    return Axis(
        lanes,
        tuple(lanes.index(str(each.process)) for each in operations),
        left,
        right,
        tuple(max(ends - begins, need - 14) for begins, ends, need in zip(left, right, needed, strict=True)),
        edges[-1] + _MARGIN,
        _ticks(edges, places, times, timed),
        tuple(Idle(edges[i], edges[i + 1], duration(spans[i])) for i in long),
        timed,
        tuple(edges),
        tuple(rank[each.start] for each in operations),
    )


def _times(operations: Sequence[Told]) -> dict[int, int]:
    """Nanoseconds of each event that is drawn, by its position; -1: not recorded."""
    times = {each.start: each.invoked_ns for each in operations}
    times.update({each.last: each.completed_ns for each in operations if each.last is not None})
    return times


def _quiet(operations: Sequence[Told], places: Sequence[int]) -> list[bool]:
    """For each step between two events, whether no operation with an end is open in it."""
    change = dict.fromkeys(places, 0)
    for each in operations:
        if each.last is not None:
            change[each.start] += 1
            change[each.last] -= 1
    opened, found = 0, []
    for place in places[:-1]:
        opened += change[place]
        found.append(opened == 0)
    return found


def _steps(spans: Sequence[int], quiet: Sequence[bool], places: int) -> tuple[list[float], list[int]]:
    """The least width of each step, and which of them are long idle times."""
    positive = sorted(span for span, idle in zip(spans, quiet, strict=False) if span > 0 and not idle)
    usual = positive[len(positive) // 2] if positive else 1
    long = [i for i, span in enumerate(spans) if quiet[i] and span >= _IDLE * usual and positive]
    if not spans:
        return [_STEP] * max(0, places - 1), []
    widths = [min(_STEP_MAX, _STEP * max(0.6, log2(1 + max(0, span) / usual))) for span in spans]
    for i in long:
        widths[i] = _IDLE_WIDTH
    return widths, long


def _edges(
    steps: Sequence[float], operations: Sequence[Told], rank: dict[int, int], needed: Sequence[float]
) -> list[float]:
    """x of every event, in order, and of the right edge. Events are at least a step apart, and the next
    operation of a lane begins where the label of the one before has ended."""
    clear: dict[str, float] = {}
    beginning = {rank[each.start]: i for i, each in enumerate(operations)}
    edges: list[float] = []
    for number, step in enumerate([0.0, *steps]):
        x = edges[-1] + step if edges else float(_MARGIN)
        if number in beginning:
            own = beginning[number]
            lane = str(operations[own].process)
            x = max(x, clear.get(lane, 0.0))
            clear[lane] = x + needed[own]
        edges.append(x)
    wide = max([edges[-1] + _OPEN_END, *clear.values()])
    stretch = max(1.0, (_WIDTH_MIN - _MARGIN) / (wide - _MARGIN))
    return [_MARGIN + (x - _MARGIN) * stretch for x in [*edges, wide]]


def _ticks(
    edges: Sequence[float], places: Sequence[int], times: dict[int, int], timed: bool
) -> tuple[Tick, ...]:
    spans = [times[b] - times[a] for a, b in pairwise(places)]
    fine = timed and any(0 < span < 1_000_000 for span in spans)
    ticks: list[Tick] = []
    for x, place in zip(edges, places, strict=False):
        if not ticks or x - ticks[-1].x >= _TICK_DISTANCE:
            ticks.append(Tick(x, seconds(times[place], 6 if fine else 3) if timed else f"event {place}"))
    return tuple(ticks)
