"""What queues, stacks and priority queues have in common: each value lives from its insertion to its removal.

Where every value is inserted at most once, the calls fall apart into *lives*, and whether a history is
linearizable depends on four positions of each: when its insertion began and ended, and when its removal did.
The arguments, and how crashed calls are counted, are in docs/protocols/collections.md.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from checkers.linear.paths.base import Decision
from checkers.linear.problem import Call
from checkers.models import UNSEEN, Value

NEVER: Final = 1 << 62
"""After every event: a removal that takes place here does not take place."""


class Life(NamedTuple):
    """A value. It is inserted between `put_start` and `put_end` and removed between `take_start` and
    `take_end`, with what follows from each for the other counted in: nothing is removed before it can have
    been inserted. So from `put_end` to `take_start` it is certainly present, if they are in that order."""

    value: Value
    put: Call
    take: Call | None
    put_start: int
    put_end: int
    take_start: int
    take_end: int

    def taken_by(self, take: Call | None, start: int) -> Life:
        """The same, removed at or after `start`, or not at all."""
        return self._replace(take=take, take_start=max(start, self.put_start), take_end=NEVER + 1)

    @property
    def certain(self) -> bool:
        """It was removed, and by a call that said so."""
        return self.take is not None and self.take.end is not None

    @property
    def optional(self) -> bool:
        """It may have been removed, by a call that was to say so."""
        return self.take is not None and self.take.end is None


class Conflict(NamedTuple):
    """Lives, and calls that found nothing, that contradict each other."""

    lives: Sequence[Life]
    empties: Sequence[Call] = ()


class Lives(NamedTuple):
    """`empties` are required removals that found nothing, `unseen` removals whose answer nobody saw."""

    all: list[Life]
    empties: list[Call]
    unseen: list[Call]


def lives_of(calls: Iterable[Call], insert: str, remove: str) -> Lives | Decision | None:
    """None if a value is inserted twice; a Decision if a value alone is impossible."""
    puts: dict[Value, Call] = {}
    takes: dict[Value, Call] = {}
    empties: list[Call] = []
    unseen: list[Call] = []
    twice: tuple[Call, ...] = ()
    for call in calls:
        if call.f == insert:
            if call.value in puts:
                return None
            puts[call.value] = call
        elif call.f == UNSEEN:
            unseen.append(call)
        elif call.value is None:
            if call.end is not None:
                empties.append(call)
        else:
            other = takes.setdefault(call.value, call)
            if other is not call and call.end is not None and other.end is not None:
                twice = (other, call)
            elif other is not call and _better(call, other):
                takes[call.value] = call
    if twice:
        put = puts.get(twice[0].value)
        return Decision(None, core=twice if put is None else (put, *twice))
    for value, take in takes.items():
        if take.end is None:
            continue
        if value not in puts:
            return Decision(None, core=(take,))
        if puts[value].start > take.end:
            return Decision(None, core=(puts[value], take))
    lives = [_life(put, takes.get(value)) for value, put in puts.items()]
    return Lives([life for life in lives if life is not None], empties, sorted(unseen, key=_start))


def _life(put: Call, take: Call | None) -> Life | None:
    """None if it need not have been."""
    if take is None or take.end is None:
        if put.end is None:
            return None
        untaken = Life(put.value, put, None, put.start, put.end, NEVER, NEVER + 1)
        return untaken if take is None else untaken.taken_by(take, take.start)
    put_end = take.end if put.end is None else min(put.end, take.end)
    return Life(put.value, put, take, put.start, put_end, max(put.start, take.start), take.end)


def _better(call: Call, other: Call) -> bool:
    """Of two removals of the same value, the one that is required, else the one that began first."""
    return call.end is not None or (other.end is None and call.start < other.start)


# Where nothing is there ---------------------------------------------------------------------------


class Moments(NamedTuple):
    """`at`: positions, in order, right after which nothing need be present; `empties[i]` found that at the
    i-th."""

    at: list[int]
    empties: list[list[Call]]

    def stage(self, life: Life) -> int:
        """Before which of the moments a value lives; after all of them: how many there are."""
        return bisect_left(self.at, life.take_start)


def moments(lives: Iterable[Life], empties: Iterable[Call]) -> Moments | Conflict:
    """For each call that found nothing the earliest moment; a Conflict if some value is present throughout
    each moment that it could have been."""
    found: dict[int, list[Call]] = {}
    spans = sorted((life.put_end, life.take_start) for life in lives if life.put_end < life.take_start)
    starts: list[int] = []
    ends: list[int] = []
    for start, end in spans:
        if ends and start <= ends[-1]:
            ends[-1] = max(ends[-1], end)
        else:
            starts.append(start)
            ends.append(end)
    for call in sorted(empties, key=_start):
        assert call.end is not None
        at = call.start
        before = bisect_right(starts, at) - 1
        if before >= 0 and ends[before] > at:
            at = ends[before]
        if at > call.end:
            return Conflict(covering(lives, call.start, call.end), [call])
        found.setdefault(at, []).append(call)
    ordered = sorted(found)
    return Moments(ordered, [found[at] for at in ordered])


def covering(lives: Iterable[Life], start: int, end: int) -> list[Life]:
    """A few lives one of which is present at each moment from `start` to before `end`; there are some."""
    chain: list[Life] = []
    best: Life | None = None
    for life in sorted(lives, key=_put_end):
        if life.put_end > start and best is not None and best.take_start > start:
            chain.append(best)
            start = best.take_start
            if start >= end:
                return chain
        if best is None or life.take_start > best.take_start:
            best = life
    return chain if best is None else [*chain, best]


def _put_end(life: Life) -> int:
    return life.put_end


def _start(call: Call) -> int:
    return call.start
