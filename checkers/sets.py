"""Sets that only grow, looked at once at the end: what was added, and is it there?

For histories whose sets are read only when all is over (Jepsen's `set`). `checkers/set_full.py` judges reads
at any time, element by element.

Operations, by key: `add` of an element that is added once, and `read`, answered with the elements, in any
order. Others are passed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from checkers.accesses import counterexample, told
from checkers.convergence import some_names
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import Value, frozen, show
from checkers.verdict import Status, Verdict

SHOWN: Final = 5


@dataclass(slots=True)
class OneSet:
    """`adds` that may have happened and `refused` ones that certainly did not, by element; the `reads` that
    were answered, by invocation."""

    adds: dict[Value, Operation] = field(default_factory=dict)
    refused: dict[Value, Operation] = field(default_factory=dict)
    reads: list[Operation] = field(default_factory=list)

    def unexpected(self, element: Value, read: Operation) -> bool:
        """Whether nobody can have added it by the end of `read`."""
        add = self.adds.get(element)
        return add is None or add.start > (read.end or 0)


def sets_of(history: Iterable[Op]) -> dict[str | None, OneSet]:
    """HistoryError if the history is none, an element is added again, or a read is not a list."""
    found: dict[str | None, OneSet] = {}
    for operation in pair(history):
        f = operation.invoke.f
        if f not in ("add", "read"):
            continue
        one = found.setdefault(operation.invoke.key, OneSet())
        if f == "read":
            if operation.outcome == "ok":
                _listed(operation)
                one.reads.append(operation)
            continue
        element = frozen(operation.invoke.value)
        if operation.outcome == "fail":
            one.refused[element] = operation
            continue
        if element in one.adds:
            raise HistoryError(
                f"event {operation.start}: {show(element)} is added again, as at event "
                f"{one.adds[element].start}; elements of a set are to be unique"
            )
        one.adds[element] = operation
    return found


def elements_of(read: Operation) -> set[Value]:
    """What an answered read shows."""
    listed = _listed(read)
    try:
        return set(listed)
    except TypeError:
        return set(frozen(listed))


def twice(read: Operation) -> list[Value]:
    """The elements that a read shows more than once."""
    seen: set[Value] = set()
    again: dict[Value, None] = {}
    for element in frozen(_listed(read)):
        if element in seen:
            again[element] = None
        seen.add(element)
    return list(again)


def _listed(read: Operation) -> Sequence[Any]:
    assert read.completion is not None
    value = read.completion.value
    if value is None:
        return ()
    if not isinstance(value, (list, tuple)):
        shown = show(frozen(value))
        raise HistoryError(f"event {read.end}: a read of a set is answered with a list, not {shown}")
    return value


def read_told(read: Operation) -> dict[str, Any]:
    """As `told`, with the number of elements in place of them all."""
    return told(read) | {"value": f"{len(_listed(read)):,} elements"}


class SetAtEnd:
    """A `Checker`. Of each key the last read counts, if it began after all acknowledged adds had ended;
    whether all who read then saw the same is for `checkers/last_reads.py`. `keeps_acknowledged`: the store
    promises it, and a loss is not only told.

    Invalid: an acknowledged element is `lost`, or one is `unexpected` (nobody added it, or its add had
    failed). Unknown: acknowledged elements, and no such read. Vacuous: no add was acknowledged.

    `details`, numbers of elements: `attempted`, `acknowledged`, `present`, `lost`, `unexpected` and
    `recovered` (there, though never acknowledged); `examples`, `operations` of the counterexample.
    """

    name = "set"

    def __init__(self, keeps_acknowledged: bool = True) -> None:
        self._keeps_acknowledged = keeps_acknowledged

    def check(self, history: list[Op]) -> Verdict:
        counts = dict.fromkeys(("attempted", "acknowledged", "present", "lost", "unexpected", "recovered"), 0)
        lost: list[tuple[Operation, Operation]] = []
        strange: list[tuple[Value, Operation]] = []
        unseen: list[str] = []
        for key, one in sets_of(history).items():
            acknowledged = {element: add for element, add in one.adds.items() if add.outcome == "ok"}
            counts["attempted"] += len(one.adds) + len(one.refused)
            counts["acknowledged"] += len(acknowledged)
            over = max([add.end or 0 for add in acknowledged.values()], default=-1)
            last = one.reads[-1] if one.reads and one.reads[-1].start > over else None
            if last is None:
                unseen += [key or "the set"] * bool(acknowledged)
                continue
            present = elements_of(last)
            counts["present"] += len(present)
            counts["recovered"] += sum(e in present for e in one.adds if e not in acknowledged)
            lost += [(add, last) for element, add in acknowledged.items() if element not in present]
            strange += [(element, last) for element in present if one.unexpected(element, last)]
        counts["lost"], counts["unexpected"] = len(lost), len(strange)
        return self._verdict(counts, lost, strange, unseen)

    def _verdict(
        self,
        counts: dict[str, int],
        lost: list[tuple[Operation, Operation]],
        strange: list[tuple[Value, Operation]],
        unseen: list[str],
    ) -> Verdict:
        gone = [frozen(add.invoke.value) for add, _ in lost]
        odd = [element for element, _ in strange]
        details: dict[str, Any] = {**counts, "examples": {"lost": gone[:SHOWN], "unexpected": odd[:SHOWN]}}
        if odd or (gone and self._keeps_acknowledged):
            reads = [read for _, read in [*lost[:SHOWN], *strange[:SHOWN]]]
            details["operations"] = [
                *counterexample([add for add, _ in lost[:SHOWN]]),
                *[read_told(read) for read in {read.start: read for read in reads}.values()],
            ]
            wrong = [f"{len(gone):,} acknowledged elements are lost ({some(gone)})"] * bool(gone)
            wrong += [f"{len(odd):,} elements are there that nobody added ({some(odd)})"] * bool(odd)
            return Verdict(self.name, Status.INVALID, "; ".join(wrong), details)
        if unseen:
            text = f"nobody has read {some_names(unseen)} after the last acknowledged add"
            return Verdict(self.name, Status.UNKNOWN, text, details)
        if not counts["acknowledged"]:
            return Verdict(self.name, Status.VACUOUS, "no add was acknowledged", details)
        text = f"all {counts['acknowledged']:,} acknowledged elements are there"
        if gone:
            text = (
                f"{len(gone):,} of {counts['acknowledged']:,} acknowledged elements are lost ({some(gone)}), "
                "which is allowed here"
            )
        if counts["recovered"]:
            text += f", and {counts['recovered']:,} that were never acknowledged"
        return Verdict(self.name, Status.VALID, text, details)


def some(values: Sequence[Any]) -> str:
    """A few of them, in words."""
    shown = ", ".join([show(frozen(value)) for value in values[:SHOWN]])
    return shown if len(values) <= SHOWN else f"{shown} and {len(values) - SHOWN:,} more"
