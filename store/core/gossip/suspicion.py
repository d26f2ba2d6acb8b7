"""How long a suspected node has to defend itself.

Lifeguard's arithmetic (Dadgar, Phillips and Currey 2018, arXiv:1707.00788, section IV-B): a suspicion that
nobody else confirms may say more about the accuser than about the accused, so it waits long; each independent
confirmation shortens the wait, with diminishing effect, down to the least time in which a refutation can make
its way through a cluster of that size.
"""

from __future__ import annotations

from math import log, log10
from typing import Final, NamedTuple

ALPHA: Final = 4
"""The least timeout is `ALPHA` * log10(members) protocol periods, and not below `ALPHA` periods."""
BETA: Final = 6
"""The greatest timeout is so many times the least."""
CONFIRMATIONS: Final = 3
"""So many independent confirmations shorten the timeout to the least."""


class Bounds(NamedTuple):
    """Nanoseconds; `needed` confirmations lead from the one to the other."""

    least: int
    most: int
    needed: int

    def timeout(self, confirmations: int) -> int:
        """How long a suspicion lasts that so many others have confirmed."""
        if confirmations >= self.needed:
            return self.least
        span = self.most - self.least
        return max(self.least, int(self.most - span * log(confirmations + 1) / log(self.needed + 1)))


def bounds(members: int, period_nanos: int) -> Bounds:
    """Of a suspicion among `members` nodes, accuser and accused included."""
    least = int(ALPHA * max(1.0, log10(max(members, 1))) * period_nanos)
    return Bounds(least, BETA * least, max(0, min(CONFIRMATIONS, members - 2)))


class Suspicion:
    """Of one incarnation of a node, since `since` (monotonic). `due` is when it turns into certainty."""

    __slots__ = ("_bounds", "_certain", "accusers", "due", "since", "timer")

    def __init__(self, accuser: str, since: int, limits: Bounds) -> None:
        self.accusers = [accuser]
        self.since = since
        self.timer = 0
        self._bounds = limits
        self._certain = False
        self.due = since + limits.timeout(0)

    def confirm(self, accuser: str) -> bool:
        """Count an accusation; whether it is one that counts."""
        if accuser in self.accusers or len(self.accusers) > self._bounds.needed:
            return False
        self.accusers.append(accuser)
        self._settle()
        return True

    def make_certain(self) -> bool:
        """Somebody else's wait is over: ours needs no confirmation any more; whether that is new."""
        if self._certain:
            return False
        self._certain = True
        self._settle()
        return True

    def _settle(self) -> None:
        confirmations = self._bounds.needed if self._certain else len(self.accusers) - 1
        self.due = self.since + self._bounds.timeout(confirmations)
