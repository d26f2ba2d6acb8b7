"""Counters that go up and down: for each actor, what it has added and what it has taken, each of which only
grows (Shapiro, Preguiça, Baquero, Zawirski 2011, section 3.1.3, PN-Counter)."""

from __future__ import annotations

from typing import Final

from store.core.messages import COUNT_MAX, Count

ACTORS_MAX: Final = 1_000
"""No actor joins so many."""


def merge(a: Count, b: Count) -> Count:
    """Of each actor, the most. `a` itself if `b` adds nothing."""
    if a.entries == b.entries:
        return a
    sums = {actor: (added, taken) for actor, added, taken in a.entries}
    for actor, added, taken in b.entries:
        held = sums.get(actor, (0, 0))
        sums[actor] = max(held[0], added), max(held[1], taken)
    entries = _entries(sums)
    return a if entries == a.entries else Count(entries)


def add(held: Count | None, actor: str, by: int) -> Count | None:
    """`actor` adds `by`, of either sign. None: it has no room for that."""
    sums = {} if held is None else {name: (added, taken) for name, added, taken in held.entries}
    if actor not in sums and len(sums) >= ACTORS_MAX:
        return None
    added, taken = sums.get(actor, (0, 0))
    added, taken = (added + by, taken) if by > 0 else (added, taken - by)
    if max(added, taken) > COUNT_MAX:
        return None
    sums[actor] = added, taken
    return Count(_entries(sums))


def value(count: Count) -> int:
    return sum([added - taken for _, added, taken in count.entries])


def _entries(sums: dict[str, tuple[int, int]]) -> tuple[tuple[str, int, int], ...]:
    return tuple([(actor, *sums[actor]) for actor in sorted(sums)])
