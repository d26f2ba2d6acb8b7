"""The checkers that need nothing but a history, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from checkers.agreement import CopiesAgree
from checkers.carts import CartChecker
from checkers.causal import Causal
from checkers.convergence import Convergence
from checkers.counters import CounterBounds
from checkers.ladder import Ladder
from checkers.last_reads import LastReads
from checkers.lost_updates import LostUpdates
from checkers.monotonic import Monotonic
from checkers.queues import TotalQueue
from checkers.sequential import Sequential
from checkers.sessions import Sessions, SiblingSessions
from checkers.set_full import SetFull
from checkers.sets import SetAtEnd
from checkers.staleness import Staleness
from checkers.unique_ids import UniqueIds
from checkers.verdict import Checker

NAMED: Final[dict[str, Callable[[], Checker]]] = {
    Ladder.name: Ladder,
    Sequential.name: Sequential,
    Causal.name: Causal,
    Sessions.name: Sessions,
    SiblingSessions.name: SiblingSessions,
    Staleness.name: Staleness,
    LostUpdates.name: LostUpdates,
    Convergence.name: Convergence,
    CopiesAgree.name: CopiesAgree,
    CartChecker.name: CartChecker,
    LastReads.name: LastReads,
    SetAtEnd.name: SetAtEnd,
    SetFull.name: SetFull,
    CounterBounds.name: CounterBounds,
    Monotonic.name: Monotonic,
    TotalQueue.name: TotalQueue,
    UniqueIds.name: UniqueIds,
}
