"""A write with the reads that saw it, and the test of Gibbons and Korach (SIAM J. Comput. 1997) for a
register of which every read is fresh: sort the zones.

A write has taken effect by the time that one of its reads is answered, so that is its end if it comes
first. Places are positions in the history; the initial value was written at place -1.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import inf

from checkers.accesses import INITIAL, Access
from checkers.history import Operation


@dataclass(slots=True)
class Cluster:
    """`write` is None for the initial value; `end` is inf if it may have happened at any later time."""

    write: Operation | None
    start: int
    end: float
    reads: list[Operation] = field(default_factory=list)

    @property
    def acknowledged(self) -> float:
        """Where the write was, inf if it was not."""
        if self.write is None:
            return self.end
        return self.write.end if self.write.outcome == "ok" and self.write.end is not None else inf

    @property
    def last_read(self) -> int:
        """When its last read began, or -1."""
        return max((read.start for read in self.reads), default=-1)


def clusters(accesses: Sequence[Access]) -> dict[str | None, list[Cluster]]:
    """By key, by start, the initial value first. What a cas saw counts as no read, nor does what is not
    clear."""
    found: dict[str | None, list[Cluster]] = {}
    of_write: dict[int, Cluster] = {}
    for access in accesses:
        own = found.setdefault(access.key, [Cluster(None, -1, -1)])
        if access.writes:
            operation = access.operation
            end = inf if access.operation.end is None or not access.certain else access.operation.end
            of_write[access.number] = Cluster(operation, operation.start, end)
            own.append(of_write[access.number])
    for access in accesses:
        if access.writes or access.seen < INITIAL:
            continue
        seen = found[access.key][0] if access.seen == INITIAL else of_write[access.seen]
        seen.reads.append(access.operation)
        seen.end = min(seen.end, access.operation.end or 0)
    return found


def all_fresh(zones: Iterable[tuple[float, float]]) -> bool:
    """Whether some order of clusters explains all. A zone is a cluster's first end and its last start."""
    forward, backward = [], []
    for end, start in zones:
        if end < start:
            forward.append((end, start))
        else:
            backward.append((start, end))
    forward.sort()
    highest = -inf
    for end, start in forward:
        if end < highest:
            return False
        highest = start
    ends = [end for end, _ in forward]
    for start, end in backward:
        at = bisect_left(ends, start) - 1
        if at >= 0 and end < forward[at][1]:
            return False
    return True
