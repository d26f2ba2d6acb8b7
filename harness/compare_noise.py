"""Whether two runs differ by more than either varies in itself: batch means, and Welch's test on them.

A run's time is cut into `BATCHES` of equal length, and each figure is taken of each. Operations that follow
on one another share their weather, so they are no independent sample, but batches much longer than a fault
are nearly one (Law, Simulation Modeling and Analysis, on batch means; Welch 1947). What two runs with other
seeds would show is not known from one of each, so what is beyond this noise may still be chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import log, sqrt
from statistics import fmean, variance
from typing import Final, NamedTuple

from msgspec import Struct

from checkers.history import Op, Operation, pair
from checkers.stats import quantile

ALL: Final = "all"
BATCHES: Final = 10
BATCHES_MIN: Final = 5
"""With fewer that have a figure at all, nothing is told from noise."""
BEYOND: Final = 3.5
"""So many standard errors apart: chance alone does that about once in 400 figures of ten batches each, and
a comparison has some 20."""
LATENCY_MS_MIN: Final = 1e-3


class Batch(Struct, frozen=True):
    """What was completed in one of them. `latencies_ms`: of what was ok, ascending."""

    counts: Mapping[str, int]
    latencies_ms: Sequence[float]
    length_s: float


class Figure(NamedTuple):
    """`counted`: it is a count by time, which varies at least as much as events that are independent. What is
    not is a latency, and varies by factors: its logarithm is compared."""

    read: Callable[[Batch], float | None]
    counted: bool


def rate(outcome: str) -> Figure:
    return Figure(lambda batch: batch.counts[outcome] / batch.length_s, True)


def latency(fraction: float) -> Figure:
    return Figure(lambda batch: quantile(batch.latencies_ms, fraction) if batch.latencies_ms else None, False)


def batches(history: Sequence[Op], span_s: float) -> dict[str, list[Batch]]:
    """For each `f`, and for `all` together; nothing if no times were recorded."""
    if span_s <= 0:
        return {}
    by_f: dict[str, list[list[Operation]]] = {}
    for operation in pair(history):
        if operation.completion is not None and operation.completion.time >= 0:
            at = min(BATCHES - 1, int(operation.completion.time / 1e9 / span_s * BATCHES))
            for f in (operation.invoke.f, ALL):
                by_f.setdefault(f, [[] for _ in range(BATCHES)])[at].append(operation)
    return {f: [_batch(own, span_s / BATCHES) for own in cells] for f, cells in by_f.items()}


def is_beyond(a: Sequence[Batch], b: Sequence[Batch], figure: Figure) -> bool:
    """Whether the figures differ by more than the batches of each make likely."""
    found = [[value for batch in side if (value := figure.read(batch)) is not None] for side in (a, b)]
    if min(map(len, found)) < BATCHES_MIN:
        return False
    least = [0.0, 0.0]
    if figure.counted:
        usual = fmean(map(fmean, found))
        least = [usual / side[0].length_s for side in (a, b)]
    else:
        found = [[log(max(value, LATENCY_MS_MIN)) for value in own] for own in found]
    error = sqrt(sum(max(variance(own), floor) / len(own) for own, floor in zip(found, least, strict=True)))
    return abs(fmean(found[0]) - fmean(found[1])) > BEYOND * error


def _batch(operations: Sequence[Operation], length_s: float) -> Batch:
    counts = dict.fromkeys(("ok", "fail", "info"), 0)
    latencies = []
    for operation in operations:
        counts[operation.outcome] += 1
        if operation.outcome == "ok" and operation.completion is not None and operation.invoke.time >= 0:
            latencies.append((operation.completion.time - operation.invoke.time) / 1e6)
    return Batch(counts, sorted(latencies), length_s)
