"""The end of a run: did everybody get to see everything once more, and did all see the same?

Of each key the *last reads* are those that began after its changes and all faults were over and, if its
copies were looked at since, after a look that showed them equal. Nothing is under way then, so whoever reads
sees the same. But an indeterminate change may still take effect at any later time, on some replicas before
others, so reads may differ by what such changes explain.

Left out on purpose: whether what all see is what it has to be. The workloads' other checkers judge that, many
of them by the very last read alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Final

from checkers.accesses import counterexample, in_words
from checkers.convergence import COPIES, equal
from checkers.history import NEMESIS, Op, Operation, pair
from checkers.models import Value, frozen
from checkers.sets import some
from checkers.verdict import Status, Verdict

READ: Final = "read"
SHOWN: Final = 5

Explains = Callable[[Value, Value, Sequence[Operation]], bool]
"""Whether two reads may differ so because of these changes, of which nobody knows whether they happened."""


def by_writes(one: Value, other: Value, changes: Sequence[Operation]) -> bool:
    """Of a register: a write replaces what was there."""
    written = [frozen(change.invoke.value) for change in changes]
    return one in written or other in written


def by_sums(one: Value, other: Value, changes: Sequence[Operation]) -> bool:
    """Of a counter: additions of an amount, or of 1."""
    if not isinstance(one, int) or not isinstance(other, int):
        return False
    amounts = [1 if change.invoke.value is None else change.invoke.value for change in changes]
    least, most = (sum([sign(amount, 0) for amount in amounts]) for sign in (min, max))
    return abs(one - other) <= most - least


def by_elements(one: Value, other: Value, changes: Sequence[Operation]) -> bool:
    """Of a set, read as a list: a change is of one element."""
    if not isinstance(one, tuple) or not isinstance(other, tuple):
        return False
    return set(one) ^ set(other) <= {frozen(change.invoke.value) for change in changes}


@dataclass(slots=True)
class OneKey:
    """`over`: where its last change ended, or -1; `open`: those that may still take effect. `looks` at its
    copies and `reads` are by invocation, answered or not."""

    over: int = -1
    open: list[Operation] = field(default_factory=list)
    looks: list[Operation] = field(default_factory=list)
    reads: list[Operation] = field(default_factory=list)


class LastReads:
    """A `Checker`. Operations, by key: `read` and `copies` ({node: what it holds}); all others are changes.
    `agree`: reads are compared; else it is only judged that there are some. `explains`: of keys with changes
    of unknown outcome; without it they are not compared. `of`: what of a read's value is compared.

    Invalid: two of the last reads of a key differ, and nothing explains it. Unknown: of a key that was
    changed there is none. Vacuous: nothing was changed and read.

    `details`: `keys` that were changed, `reads`: the last ones; `readers`: how many processes were answered,
    `unanswered`: those that never were about some key they asked for; `open`: how many keys have changes of
    unknown outcome; `differ`: the keys that do, and the `operations` of the counterexample.
    """

    name = "last-reads"

    def __init__(
        self, agree: bool = True, explains: Explains | None = None, of: Callable[[Any], Value] = frozen
    ) -> None:
        self._agree = agree
        self._explains = explains
        self._of = of

    def check(self, history: list[Op]) -> Verdict:
        keys = {key: one for key, one in _by_key(history).items() if one.over >= 0}
        calm = max([place for place, op in enumerate(history) if op.process == NEMESIS], default=-1)
        asked = {key: _last(one, calm) for key, one in keys.items()}
        last = {key: [read for read in reads if read.outcome == "ok"] for key, reads in asked.items()}
        unread = [key for key, reads in last.items() if not reads]
        apart = {key: both for key, reads in last.items() if (both := self._apart(keys[key], reads))}
        details: dict[str, Any] = {
            "keys": len(keys),
            "reads": sum(map(len, last.values())),
            "readers": len({read.invoke.process for reads in last.values() for read in reads}),
            "unanswered": sorted(
                {process for key in keys for process in _readers(asked[key]) - _readers(last[key])}
            ),
            "open": sum(bool(one.open) for one in keys.values()),
            "differ": list(apart),
        }
        if apart:
            one, other = next(iter(apart.values()))
            told = [each for both in list(apart.values())[:SHOWN] for each in both]
            details["operations"] = counterexample(told)
            text = f"when all was over not everybody saw the same of {some(list(apart))}: "
            return Verdict(self.name, Status.INVALID, f"{text}{in_words(one)}, {in_words(other)}", details)
        if not any(one.reads for one in keys.values()):
            return Verdict(self.name, Status.VACUOUS, "nobody both changed something and read it", details)
        if unread:
            text = f"nobody has read {some(unread)} after the last change was over"
            return Verdict(self.name, Status.UNKNOWN, text, details)
        return Verdict(self.name, Status.VALID, self._praise(details), details)

    def _apart(self, one: OneKey, reads: Sequence[Operation]) -> tuple[Operation, Operation] | None:
        """The first two that differ by what is not explained."""
        if not self._agree or (one.open and self._explains is None):
            return None
        firsts: dict[Value, Operation] = {}
        for read in reads:
            assert read.completion is not None
            firsts.setdefault(self._of(read.completion.value), read)
        for (a, first), (b, second) in combinations(firsts.items(), 2):
            if not one.open or self._explains is None or not self._explains(a, b, one.open):
                return first, second
        return None

    def _praise(self, details: dict[str, Any]) -> str:
        text = f"{details['readers']:,} clients read all {details['keys']:,} keys at the end"
        if details["unanswered"]:
            text += f" (but {len(details['unanswered']):,} of those who asked got no answer about some)"
        if not self._agree:
            return f"{text}; whether they saw the same is not judged here"
        if not details["open"]:
            return f"{text} and saw the same"
        unclear = f"changes of unknown outcome ({details['open']:,} keys have such)"
        if self._explains is not None:
            return f"{text} and saw the same, but for what is explained by {unclear}"
        return f"{text} and saw the same of {details['keys'] - details['open']:,}; not compared: {unclear}"


def _readers(reads: Sequence[Operation]) -> set[int | str]:
    return {read.invoke.process for read in reads}


def _by_key(history: Sequence[Op]) -> dict[str | None, OneKey]:
    found: dict[str | None, OneKey] = {}
    for operation in pair(history):
        one = found.setdefault(operation.invoke.key, OneKey())
        if operation.invoke.f == COPIES:
            one.looks.append(operation)
        elif operation.invoke.f == READ:
            one.reads.append(operation)
        elif operation.outcome == "info":
            one.open.append(operation)
            one.over = max(one.over, operation.end or operation.start)
        elif operation.outcome == "ok":
            one.over = max(one.over, operation.end or 0)
    return found


def _last(one: OneKey, calm: int) -> list[Operation]:
    """The last reads, answered or not."""
    since = max(one.over, calm)
    looks = [look for look in one.looks if look.start > since]
    if looks:
        equal_ones = [look for look in looks if look.outcome == "ok" and equal(look.value)]
        if not equal_ones:
            return []
        since = equal_ones[0].end or 0
    return [read for read in one.reads if read.start > since]
