"""Vector clocks (Fidge 1988, Mattern 1989), each packed into one integer, so that joining two of thousands of
entries is a handful of operations on long numbers.

An entry is `width` bits wide, the highest of which stays 0 and is the guard of comparisons.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

Clock = int
"""By chain, how many events of it have been heard of."""

NOTHING: Final = 0


class Clocks:
    """Of `chains` chains, none longer than `longest` events."""

    def __init__(self, chains: int, longest: int) -> None:
        self._width = longest.bit_length() + 1
        self._entry = (1 << self._width) - 1
        self._guards = sum(1 << (chain + 1) * self._width - 1 for chain in range(chains))

    def join(self, one: Clock, other: Clock) -> Clock:
        if one == other or not other:
            return one
        kept = ((one | self._guards) - other) & self._guards
        kept -= kept >> (self._width - 1)
        return other ^ ((one ^ other) & kept)

    def at(self, clock: Clock, chain: int) -> int:
        return (clock >> chain * self._width) & self._entry

    def with_event(self, clock: Clock, chain: int, count: int) -> Clock:
        """`count` is not less than the entry is."""
        return clock + ((count - self.at(clock, chain)) << chain * self._width)

    def ahead(self, clock: Clock, behind: Clock) -> Iterator[tuple[int, int]]:
        """The chains of which `clock`, which knows all that `behind` does, knows more, with its entry."""
        more = clock - behind
        while more:
            chain = ((more & -more).bit_length() - 1) // self._width
            yield chain, self.at(clock, chain)
            more &= ~(self._entry << chain * self._width)
