"""The smallest t of t-atomicity (Golab, Li and Shah, "Analyzing Consistency Properties for Fun and Profit",
PODC 2011, Delta-atomicity): if every read had begun so much earlier, all would be fresh.

More of it never hurts, so it is found by bisection, to the nanosecond.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from checkers.staleness.clusters import Cluster, all_fresh

Zone = tuple[float, float, float]
"""Its first end, the start of its write and the last start of its reads, in nanoseconds."""


def smallest_t_ns(found: Sequence[Cluster]) -> int | None:
    """None: times were not recorded, or contradict the order of events."""
    zones = [_zone(cluster) for cluster in found]
    timed = [zone for zone in zones if zone is not None]
    if len(timed) < len(zones):
        return None
    low = 0
    if _fresh(timed, low):
        return 0
    high = 1 + max(int(last - end) for end, _, last in timed if end < inf)
    if not _fresh(timed, high):
        return None
    while high - low > 1:
        middle = (low + high) // 2
        if _fresh(timed, middle):
            high = middle
        else:
            low = middle
    return high


def _fresh(zones: Sequence[Zone], earlier_ns: int) -> bool:
    return all_fresh((end, max(start, last - earlier_ns)) for end, start, last in zones)


def _zone(cluster: Cluster) -> Zone | None:
    write = cluster.write
    start: float = -1
    end: float = -1
    if write is not None:
        start, end = write.invoke.time, inf
        if write.outcome == "ok" and write.completion is not None:
            end = write.completion.time
        if min(start, end) < 0:
            return None
    last: float = -1
    for read in cluster.reads:
        assert read.completion is not None
        if min(read.invoke.time, read.completion.time) < 0:
            return None
        last = max(last, read.invoke.time)
        end = min(end, read.completion.time)
    return end, start, last
