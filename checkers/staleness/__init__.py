"""How stale reads were: `Staleness().check(history)`.

check     the smallest k and t that hold, against bounds if there are any
clusters  a write and its reads, and whether all reads are fresh
versions  the smallest k
seconds   the smallest t
"""

from checkers.staleness.check import Staleness

__all__ = ["Staleness"]
