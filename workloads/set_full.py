"""The set-full workload: as `workloads/set.py`, with reads all the time, and judged element by element: how
long each one took to be there for good.

Reads must be as fresh as the level says: at `linearizable`, show all that anybody had seen; where quorums
overlap, all that had been acknowledged; elsewhere, in the end, all that was acknowledged.
"""

from __future__ import annotations

from checkers.set_full import Demand, SetFull
from checkers.verdict import Checker
from store.core.data.levels import parse_level
from workloads.set import SetWork, Way


def demand_of(level: str, replication: int) -> Demand:
    parsed = parse_level(level, replication)
    if parsed.linearizable:
        return "linearizable"
    strict = parsed.reads + parsed.writes > replication and not parsed.sloppy
    return "acknowledged" if strict else "eventual"


class SetFullWork(SetWork):
    name = "set-full"
    summary = "add to sets and read them; when each element was known, stable, stale or lost"
    adds_one_in = 3

    def __init__(self, way: Way, level: str, demand: Demand) -> None:
        super().__init__(way, level)
        self._demand = demand

    def checkers(self) -> list[Checker]:
        return [SetFull(self._demand), *self.at_the_end()]
