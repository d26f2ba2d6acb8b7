"""What a history says of counts, latency and throughput: figures, without any drawing.

An operation's latency is the time from its invocation to its `ok`; failed and indefinite ones are counted
but not timed, as their time says more of the timeout than of the system. Quantiles are nearest-rank, so each
is a latency that was really seen.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from checkers.history import NEMESIS, Op, Operation, pair
from checkers.stats import quantile

OUTCOMES: Final = ("ok", "fail", "info")


class Kind(NamedTuple):
    """All operations with one `f`. `total` counts invocations; one that never completed is an `info`."""

    f: str
    total: int
    ok: int
    fail: int
    info: int
    latencies_ms: tuple[float, ...]
    """Of those that are `ok` and whose times were recorded, ascending."""

    def latency_ms(self, fraction: float) -> float | None:
        """The quantile; None if nothing was timed."""
        return quantile(self.latencies_ms, fraction) if self.latencies_ms else None


class Throughput(NamedTuple):
    """Completions in each of the consecutive buckets of `bucket_s` seconds, from the start of the run."""

    bucket_s: float
    ok: tuple[int, ...]
    fail: tuple[int, ...]
    info: tuple[int, ...]


BUCKET_S_MIN: Final = 0.1


def kinds(history: Iterable[Op]) -> list[Kind]:
    """One for each `f` of the clients, by name."""
    operations: dict[str, list[Operation]] = {}
    for operation in pair(history):
        operations.setdefault(operation.invoke.f, []).append(operation)
    return [_kind(f, own) for f, own in sorted(operations.items())]


def together(parts: Sequence[Kind], f: str) -> Kind:
    """The sum of some kinds, under the name `f`."""
    return Kind(
        f,
        sum(part.total for part in parts),
        sum(part.ok for part in parts),
        sum(part.fail for part in parts),
        sum(part.info for part in parts),
        tuple(sorted(latency for part in parts for latency in part.latencies_ms)),
    )


def duration_s(history: Sequence[Op]) -> float:
    """When the last event was, in seconds since the start; 0 if no times were recorded."""
    return max((op.time for op in history if op.time > 0), default=0) / 1e9


def throughput(history: Iterable[Op], span_s: float, columns: int) -> Throughput:
    """Over the first `span_s` seconds in at most `columns` buckets, each at least `BUCKET_S_MIN`; client
    operations only."""
    bucket_s = max(span_s / columns, BUCKET_S_MIN)
    buckets = min(columns, math.ceil(span_s / bucket_s))
    found = {outcome: [0] * buckets for outcome in OUTCOMES}
    for op in history:
        if op.type != "invoke" and op.process != NEMESIS and op.time >= 0:
            found[op.type][min(buckets - 1, int(op.time / 1e9 / bucket_s))] += 1
    return Throughput(bucket_s, *(tuple(found[outcome]) for outcome in OUTCOMES))


def _kind(f: str, operations: Sequence[Operation]) -> Kind:
    outcomes = Counter(operation.outcome for operation in operations)
    latencies = sorted(
        (operation.completion.time - operation.invoke.time) / 1e6
        for operation in operations
        if operation.completion is not None
        and operation.outcome == "ok"
        and min(operation.invoke.time, operation.completion.time) >= 0
    )
    return Kind(f, len(operations), outcomes["ok"], outcomes["fail"], outcomes["info"], tuple(latencies))
