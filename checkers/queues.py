"""Queues: does everything that was put in come out, once, and nothing else?

Jepsen's `total-queue`, for multisets, with these differences. A value that is missing counts as lost only if
the queue was seen empty after its enqueue had been acknowledged; before that it may still be in there. An
indeterminate dequeue may have taken a value that nobody saw, so as many may be missing as such dequeues
explain. What comes out twice is a violation, and so is what comes out though its enqueue failed.

Left out on purpose: the order in which values come out. `Linearizable(FifoQueue())` judges that, and
`Linearizable(UnorderedQueue())` whether a queue was empty when it said so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from checkers.accesses import counterexample
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import Value, frozen, show
from checkers.verdict import Status, Verdict

SHOWN: Final = 5
EMPTY: Final = frozenset({"empty", ":empty", "exhausted", ":exhausted"})
"""Errors of a failed dequeue that found nothing."""


Found = list[tuple[Value, Operation]]


@dataclass(slots=True)
class OneQueue:
    """`puts` that may have happened, `takes` ([operation, value]) that did; `empties`: who found nothing, or
    drained it; `doubtful` and `drains`: where takes began of which nobody knows whether they were;
    `refused`: how many puts certainly did not happen."""

    puts: list[tuple[Operation, Value]] = field(default_factory=list)
    takes: list[tuple[Operation, Value]] = field(default_factory=list)
    empties: list[Operation] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    drains: list[int] = field(default_factory=list)
    refused: int = 0


class TotalQueue:
    """A `Checker`. Operations, by key: `enqueue` of a value, `dequeue`, answered with one or with null where
    there is none (or failed as "empty"), and `drain`, answered with all that was left; others are passed
    over.

    Invalid: values are lost, `unexpected` (nobody had put them in by then) or `duplicated` (taken more often
    than put in). Unknown: acknowledged values are still missing from a queue that nobody saw empty since.
    Vacuous: nothing was acknowledged that was put in, or nothing taken.

    `details`, numbers: `attempted`, `acknowledged`, `taken`, `lost`, `unexpected`, `duplicated`, `recovered`
    (taken, though never acknowledged), `explained` (missing, and an indeterminate dequeue may have taken
    them), `left` (missing, and the queue not seen empty); `examples`, `operations` of the counterexample.
    """

    name = "queue"

    def check(self, history: list[Op]) -> Verdict:
        counts: Counter[str] = Counter()
        wrong: dict[str, Found] = {"lost": [], "unexpected": [], "duplicated": []}
        for one in _queues(history).values():
            acknowledged = [(put, value) for put, value in one.puts if put.outcome == "ok"]
            counts["attempted"] += len(one.puts) + one.refused
            counts["acknowledged"] += len(acknowledged)
            counts["taken"] += len(one.takes)
            unexpected, duplicated = _surplus(one)
            wrong["unexpected"] += unexpected
            wrong["duplicated"] += duplicated
            counts["recovered"] += _recovered(one)
            lost, explained, left = _missing(one, acknowledged)
            wrong["lost"] += lost
            counts["explained"] += explained
            counts["left"] += left
        return self._verdict(counts, wrong)

    def _verdict(self, counts: Counter[str], wrong: dict[str, Found]) -> Verdict:
        names = ("attempted", "acknowledged", "taken", "recovered", "explained", "left")
        details: dict[str, Any] = {name: counts[name] for name in names}
        details |= {name: len(found) for name, found in wrong.items()}
        details["examples"] = {
            name: [value for value, _ in found[:SHOWN]] for name, found in wrong.items() if found
        }
        said = {
            "lost": "acknowledged values are lost",
            "unexpected": "values were taken that nobody had put in",
            "duplicated": "values were taken more often than put in",
        }
        if any(wrong.values()):
            text = "; ".join(
                f"{len(found):,} {said[name]} ({', '.join([show(value) for value, _ in found[:SHOWN]])})"
                for name, found in wrong.items()
                if found
            )
            accused = [operation for found in wrong.values() for _, operation in found[:SHOWN]]
            details["operations"] = counterexample(accused)
            return Verdict(self.name, Status.INVALID, text, details)
        if counts["left"]:
            text = (
                f"{counts['left']:,} acknowledged values are missing from queues that nobody saw empty since"
            )
            return Verdict(self.name, Status.UNKNOWN, text, details)
        if not counts["acknowledged"] or not counts["taken"]:
            text = "nobody both put something in, with an acknowledgement, and took it"
            return Verdict(self.name, Status.VACUOUS, text, details)
        text = f"all {counts['acknowledged']:,} acknowledged values came out, each once"
        if counts["explained"]:
            text = (
                f"of {counts['acknowledged']:,} acknowledged values each came out once, but for "
                f"{counts['explained']:,} that dequeues may have taken whose answer nobody saw"
            )
        if counts["recovered"]:
            text += f"; {counts['recovered']:,} came out that were never acknowledged"
        return Verdict(self.name, Status.VALID, text, details)


def _queues(history: Iterable[Op]) -> dict[str | None, OneQueue]:
    """HistoryError if the history is none, or a value is not one."""
    found: dict[str | None, OneQueue] = {}
    for operation in pair(history):
        f, outcome = operation.invoke.f, operation.outcome
        if f not in ("enqueue", "dequeue", "drain"):
            continue
        one = found.setdefault(operation.invoke.key, OneQueue())
        if f == "enqueue":
            value = frozen(operation.invoke.value)
            if value is None:
                raise HistoryError(f"event {operation.start}: the value of an enqueue is something, not nil")
            if outcome == "fail":
                one.refused += 1
            else:
                one.puts.append((operation, value))
        elif outcome == "ok":
            _answered(one, operation)
        elif outcome == "fail":
            if isinstance(operation.error, str) and operation.error in EMPTY:
                one.empties.append(operation)
        else:
            (one.doubtful if f == "dequeue" else one.drains).append(operation.start)
    return found


def _answered(one: OneQueue, operation: Operation) -> None:
    assert operation.completion is not None
    value = frozen(operation.completion.value)
    if operation.invoke.f == "drain":
        if value is not None and not isinstance(value, tuple):
            raise HistoryError(f"event {operation.end}: a drain is answered with a list, not {show(value)}")
        one.takes += [(operation, each) for each in value or ()]
        one.empties.append(operation)
    elif value is None:
        one.empties.append(operation)
    else:
        one.takes.append((operation, value))


def _surplus(one: OneQueue) -> tuple[Found, Found]:
    """Takes of what nobody had put in when they ended, and takes beyond what had been put in by then."""
    moments: list[tuple[int, Operation | None, Value]] = [(put.start, None, value) for put, value in one.puts]
    moments += [(take.end or 0, take, value) for take, value in one.takes]
    moments.sort(key=lambda moment: moment[0])
    begun: Counter[Value] = Counter()
    taken: Counter[Value] = Counter()
    unexpected: Found = []
    duplicated: Found = []
    for _, take, value in moments:
        if take is None:
            begun[value] += 1
            continue
        if not begun[value]:
            unexpected.append((value, take))
            continue
        taken[value] += 1
        if taken[value] > begun[value]:
            duplicated.append((value, take))
    return unexpected, duplicated


def _recovered(one: OneQueue) -> int:
    """How many were taken beyond those that were acknowledged, if they were at least attempted."""
    taken = Counter(value for _, value in one.takes)
    sure = Counter(value for put, value in one.puts if put.outcome == "ok")
    tried = Counter(value for _, value in one.puts)
    return sum(max(0, min(count, tried[value]) - sure[value]) for value, count in taken.items())


def _missing(one: OneQueue, acknowledged: Sequence[tuple[Operation, Value]]) -> tuple[Found, int, int]:
    """Of the acknowledged values that nobody took: those that are lost, how many of the rest an indeterminate
    dequeue may have taken, and how many may still be in there.

    A missing value must be gone when the first ends that began after its enqueue had ended and found nothing.
    Indeterminate dequeues take effect at any time after they began, so those that began by then can be given
    out in the order of these deadlines.
    """
    taken = Counter(value for _, value in one.takes)
    missing: list[tuple[Operation, Value]] = []
    for put, value in sorted(acknowledged, key=lambda each: each[0].start):
        if taken[value]:
            taken[value] -= 1
        else:
            missing.append((put, value))
    deadlines = _deadlines(one.empties, missing)
    gone = sorted(
        [(end, put.start, value, put) for end, put, value in deadlines if end is not None], key=_due
    )
    doubtful = sorted(one.doubtful)
    lost: Found = []
    used = 0
    for end, _, value, put in gone:
        if any(start < end for start in one.drains):
            continue
        if used < len(doubtful) and doubtful[used] < end:
            used += 1
        else:
            lost.append((value, put))
    return lost, len(gone) - len(lost), len(missing) - len(gone)


def _due(each: tuple[int, int, Value, Operation]) -> tuple[int, int]:
    return each[:2]


def _deadlines(
    empties: Sequence[Operation], missing: Sequence[tuple[Operation, Value]]
) -> list[tuple[int | None, Operation, Value]]:
    """For each, the earliest end of those that found nothing and began after its enqueue had ended."""
    by_start = sorted(empties, key=lambda each: each.start, reverse=True)
    found: list[tuple[int | None, Operation, Value]] = []
    earliest: int | None = None
    at = 0
    for put, value in sorted(missing, key=lambda each: each[0].end or 0, reverse=True):
        while at < len(by_start) and by_start[at].start > (put.end or 0):
            end = by_start[at].end or 0
            earliest = end if earliest is None else min(earliest, end)
            at += 1
        found.append((earliest, put, value))
    return found
