"""Session guarantees where concurrent writes are kept side by side, and a read gives them all.

A write that is not among what is read must have been replaced. Whoever replaced it knew it: had read it, or
had written it, directly or through others (Almeida et al. 2014: a context covers what its reader was
shown). So a write that a session must see is missing for certain only if neither a value that was read nor
a deletion can have known it. That is asked for read your writes and monotonic reads. Siblings have no order
among themselves that monotonic writes or writes follow reads could contradict: of these nothing is claimed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from checkers.accesses import ALLOWED, READS, WRITES, counterexample, in_words
from checkers.clocks import NOTHING, Clock, Clocks
from checkers.convergence import COPIES
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import Value, frozen, show
from checkers.verdict import Status, Verdict, worst

RULES: Final = ("read-your-writes", "monotonic-reads")


class Missing(NamedTuple):
    """`read` does not tell of `write`, though its session had written it, or had it told by `known_by`."""

    rule: str
    read: Operation
    write: Operation
    known_by: Operation


class SiblingSessions:
    """A `Checker` of reads whose value is the list of a key's values (none: []), with two parts. Every
    value is written once for its key; a `delete`, or a write of None, leaves none.

    `details` of a part: `reads` judged, `missing` (how many values that a session must see its reads did
    not tell of), and of an invalid one `anomaly`, `key`, `explanation`, `operations`.
    """

    name = "sibling-sessions"

    def check(self, history: list[Op]) -> Verdict:
        known = _Known(history)
        if known.phantoms:
            read, value = known.phantoms[0]
            sentence = f"{in_words(read)}, but nobody had written {show(value)} by then"
            details: dict[str, Any] = {
                "anomaly": "thin-air read",
                "key": read.invoke.key,
                "explanation": [sentence],
                "operations": counterexample([read]),
            }
            return Verdict(self.name, Status.INVALID, sentence, details)
        missing = list(known.missing())
        parts = tuple(_part(rule, [each for each in missing if each.rule == rule], known) for rule in RULES)
        status = worst(part.status for part in parts)
        if not known.reads:
            return Verdict(self.name, Status.VACUOUS, "nobody has read anything", {}, parts)
        first = next((part.summary for part in parts if part.status is status), "")
        if status is Status.VALID:
            first = f"no session misses what it must see, in {len(known.reads):,} reads"
        return Verdict(self.name, status, first, {"reads": len(known.reads), "missing": len(missing)}, parts)


class _Known:
    """What each operation can have known: all that its session had read or written, directly or not."""

    def __init__(self, history: Sequence[Op]) -> None:
        self.reads: list[Operation] = []
        self.phantoms: list[tuple[Operation, Value]] = []
        self.origins: dict[tuple[str | None, Value], Operation] = {}
        steps: list[Operation] = []
        for operation in pair(history):
            f = operation.invoke.f
            if f in READS and operation.outcome == "ok":
                self.reads.append(operation)
                steps.append(operation)
            elif f in WRITES and operation.outcome != "fail":
                self._take_write(operation)
                steps.append(operation)
            elif f not in READS | WRITES | {COPIES}:
                allowed = ALLOWED.removesuffix(", cas")
                raise HistoryError(f"event {operation.start}: {f!r} is not for siblings: {allowed}")
        self.reads.sort(key=_end)
        self._steps = sorted(steps, key=_moment)
        self._chains: dict[int, tuple[int, int]] = {}
        """By its start, a write's chain and its place in it, from 1."""
        self._clock: dict[int, Clock] = {}
        """By its start, what an operation knew, itself included."""
        self._clocks = self._count()
        self._learn()

    def missing(self) -> Iterable[Missing]:
        """Of each session's reads, in order: what they should have told of, and did not; each value once a
        read."""
        must: dict[tuple[int | str, str | None], dict[int, Missing]] = defaultdict(dict)
        deleted: dict[str | None, Clock] = defaultdict(int)
        for operation in self._steps:
            key = operation.invoke.key
            owed = must[operation.invoke.process, key]
            if operation.invoke.f in WRITES:
                if _deletes(operation):
                    deleted[key] = self._clocks.join(deleted[key], self._clock[operation.start])
                elif operation.outcome == "ok":
                    owed[operation.start] = Missing(RULES[0], operation, operation, operation)
                continue
            told = self._told(operation)
            replaced = deleted[key]
            for write in told:
                replaced = self._clocks.join(replaced, self._clock[write.start])
            for start, debt in list(owed.items()):
                chain, place = self._chains[start]
                if debt.write not in told and self._clocks.at(replaced, chain) < place:
                    yield debt._replace(read=operation)
                elif debt.write not in told:
                    del owed[start]  # replaced, and it need not come back
            for write in told:
                owed.setdefault(write.start, Missing(RULES[1], operation, write, operation))

    def _told(self, read: Operation) -> list[Operation]:
        return [self.origins[read.invoke.key, value] for value in _values(read)]

    def _take_write(self, operation: Operation) -> None:
        key, value = operation.invoke.key, frozen(operation.invoke.value)
        if _deletes(operation):
            return
        if (key, value) in self.origins:
            raise HistoryError(
                f"event {operation.start}: {show(value)} is written twice on key {show(key)}; siblings can "
                "only be told apart if each value is written once"
            )
        self.origins[key, value] = operation

    def _count(self) -> Clocks:
        chains: dict[Any, int] = {}
        lengths: list[int] = []
        for operation in self._steps:
            if operation.invoke.f in WRITES:
                name = (operation.invoke.process, operation.start if operation.outcome != "ok" else None)
                chain = chains.setdefault(name, len(chains))
                lengths += [0] * (chain == len(lengths))
                lengths[chain] += 1
                self._chains[operation.start] = (chain, lengths[chain])
        return Clocks(len(chains), max(lengths, default=0))

    def _learn(self) -> None:
        latest: dict[int | str, Clock] = {}
        for operation in self._steps:
            process, key = operation.invoke.process, operation.invoke.key
            clock = latest.get(process, NOTHING)
            if operation.invoke.f in WRITES:
                clock = self._clocks.with_event(clock, *self._chains[operation.start])
            else:
                for value in _values(operation):
                    origin = self.origins.get((key, value))
                    if origin is None or origin.start > _end(operation):
                        self.phantoms.append((operation, value))
                    else:
                        clock = self._clocks.join(clock, self._clock[origin.start])
            self._clock[operation.start] = latest[process] = clock


def _deletes(operation: Operation) -> bool:
    return operation.invoke.f == "delete" or operation.invoke.value is None


def _values(read: Operation) -> Sequence[Value]:
    values = frozen(read.completion.value) if read.completion is not None else None
    if not isinstance(values, tuple):
        raise HistoryError(f"event {read.end}: a read of siblings gives a list, not {show(values)}")
    return values


def _end(operation: Operation) -> int:
    assert operation.end is not None
    return operation.end


def _moment(operation: Operation) -> int:
    """Whoever reads ends after whoever wrote it began."""
    return operation.start if operation.invoke.f in WRITES else _end(operation)


def _part(rule: str, missing: Sequence[Missing], known: _Known) -> Verdict:
    figures = {"reads": len(known.reads), "missing": len(missing)}
    if not missing:
        return Verdict(rule, Status.VALID, f"holds in {len(known.reads):,} reads", figures)
    first = missing[0]
    had = "it had written that itself" if rule == RULES[0] else f"before that, {in_words(first.known_by)}"
    without = show(frozen(first.write.invoke.value))
    sentence = f"{in_words(first.read)}, without {without}, which nobody can have replaced: {had}"
    details = {
        "anomaly": rule,
        "key": first.read.invoke.key,
        "explanation": [sentence],
        "operations": counterexample([first.write, first.known_by, first.read]),
    }
    return Verdict(rule, Status.INVALID, f"{sentence}; {len(missing):,} in all", figures | details)
