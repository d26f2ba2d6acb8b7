"""Lost updates: two updates that began with one version, so that one of them has gone unnoticed.

An update tells what it replaced: `cas` and `update` ([from, to]), and an `append` that was answered with
the list that it left. Of one version at most one update can be part of a history that no update was lost
from (Berenson et al. 1995, P4; Adya 1999, G-single on one object). Where a value is written several times,
there may be as many updates of it as there may have been writes. Real time plays no part here, nor what
reads saw, except that reads of appended lists must be beginnings of one another: lists that fork come from
two appends to one.

Left out on purpose: a read and a later write by the same session are no update unless the workload says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final, NamedTuple

from checkers.accesses import READS, WRITES, counterexample, in_words
from checkers.convergence import COPIES
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import Value, frozen, show
from checkers.verdict import Status, Verdict

UPDATES: Final = frozenset({"cas", "update"})
APPEND: Final = "append"
SHOWN: Final = 5

Version = tuple[str | None, Value]
"""A key and what it held."""


class Lost(NamedTuple):
    """More updates began with a version than it can have been there; `times`, at most."""

    version: Version
    updates: list[Operation]
    times: int


class LostUpdates:
    """A `Checker`. `initial` is what a key holds before any write (of lists: null is the empty one).

    `details`: `updates` judged, `lost` (how many too many), and of an invalid one `anomaly`, `key`,
    `version`, `explanation`, `operations`, and `versions` (the first few that were updated too often).
    Vacuous if no update succeeded; an update whose outcome is unknown counts if its result was seen or
    updated.
    """

    name = "lost-updates"

    def __init__(self, initial: Value = None) -> None:
        self._initial = frozen(initial)

    def check(self, history: list[Op]) -> Verdict:
        seen = _Seen(pair(history), self._initial)
        found = sorted(seen.lost(), key=lambda lost: lost.updates[-1].start)
        figures: dict[str, Any] = {
            "updates": seen.updates,
            "lost": sum(len(lost.updates) - lost.times for lost in found),
        }
        if not found:
            if not seen.updates:
                return Verdict(
                    self.name, Status.VACUOUS, "no update succeeded that tells what it replaced", figures
                )
            text = f"{seen.updates:,} updates, each of a version of its own"
            return Verdict(self.name, Status.VALID, text, figures)
        first = found[0]
        sentences = _sentences(first)
        details = figures | {
            "anomaly": "lost update",
            "key": first.version[0],
            "version": first.version[1],
            "explanation": sentences,
            "operations": counterexample(first.updates),
            "versions": [{"key": lost.version[0], "version": lost.version[1]} for lost in found[:SHOWN]],
        }
        return Verdict(self.name, Status.INVALID, f"{sentences[0]}; {figures['lost']:,} lost in all", details)


class _Seen:
    """What is known to have happened: `changes` by the version they began with."""

    def __init__(self, operations: Iterable[Operation], initial: Value) -> None:
        self.updates = 0
        self._initial = initial
        self._from: dict[Version, list[Operation]] = defaultdict(list)
        self._written: dict[Version, int] = defaultdict(int)
        """How often a version may have been written."""
        self._untold: dict[Version, int] = defaultdict(int)
        """Of appends that did not tell what they left: how often an element may have been appended so."""
        self._lists: dict[str | None, list[tuple[Value, Operation]]] = defaultdict(list)
        self._observed: set[Version] = set()
        self._appended_to: set[str | None] = set()
        self._replaced: set[str | None] = set()
        perhaps: list[tuple[Operation, Version, Version]] = []
        for operation in operations:
            self._take(operation, perhaps)
        self._settle(perhaps)

    def lost(self) -> list[Lost]:
        often = list(self._too_often())
        told = {each.version[0] for each in often}
        return often + [each for each in self._forks() if each.version[0] not in told]

    def _too_often(self) -> Iterable[Lost]:
        for version, updates in self._from.items():
            times = max(self._times(version), 1)
            if len(updates) > times:
                yield Lost(version, updates, times)

    def _times(self, version: Version) -> int:
        """How often that may have been there. An empty list may be the null that a deletion left; and where
        lists were replaced, any append may have made a version anew."""
        key, value = version
        times = self._written[version] + bool(value == self._initial)
        if value == () and key in self._appended_to:
            times += self._written[key, None] + (self._initial is None)
        if isinstance(value, tuple) and value and key in self._replaced:
            times += self._untold[key, value[-1]]
        return times

    def _forks(self) -> Iterable[Lost]:
        """Lists that were told, neither of two of which is a beginning of the other: the first two of each
        key."""
        for key in self._appended_to - self._replaced:
            lists = self._lists[key]
            by_length = sorted(lists, key=lambda each: len(each[0]))
            for (shorter, one), (longer, other) in pairwise(by_length):
                if longer[: len(shorter)] != shorter:
                    common = next(at for at, value in enumerate(shorter) if longer[at] != value)
                    yield Lost((key, shorter[:common]), sorted([one, other], key=lambda each: each.start), 1)
                    break

    def _take(self, operation: Operation, perhaps: list[tuple[Operation, Version, Version]]) -> None:
        f, key, outcome = operation.invoke.f, operation.invoke.key, operation.outcome
        if f == COPIES or outcome == "fail":
            return
        if f in READS:
            if outcome == "ok" and operation.completion is not None:
                self._read(key, frozen(operation.completion.value), operation)
        elif f in WRITES:
            value = None if f == "delete" else frozen(operation.value)
            self._written[key, value] += 1
            self._replaced.add(key)
        elif f in UPDATES:
            self._update(operation, perhaps)
        elif f == APPEND:
            self._appended(operation)
        else:
            allowed = ", ".join(sorted(READS | WRITES | UPDATES | {APPEND}))
            raise HistoryError(f"event {operation.start}: {f!r} tells of no update: {allowed}")

    def _read(self, key: str | None, value: Value, operation: Operation) -> None:
        self._observed.add((key, value))
        if isinstance(value, tuple):
            self._lists[key].append((value, operation))

    def _update(self, operation: Operation, perhaps: list[tuple[Operation, Version, Version]]) -> None:
        value, key = frozen(operation.value), operation.invoke.key
        if not isinstance(value, tuple) or len(value) != 2:
            raise HistoryError(
                f"event {operation.start}: the value of {operation.invoke.f} is [from, to], not {show(value)}"
            )
        self._replaced.add(key)
        before, after = (key, value[0]), (key, value[1])
        if before == after:
            return
        self._written[after] += 1
        if operation.outcome == "ok":
            self._count(before, operation)
        else:
            perhaps.append((operation, before, after))

    def _appended(self, operation: Operation) -> None:
        self._appended_to.add(operation.invoke.key)
        done = operation.completion
        asked = frozen(operation.invoke.value)
        if operation.outcome != "ok" or done is None or not isinstance(done.value, (list, tuple)):
            self._untold[operation.invoke.key, asked] += 1
            return
        after = frozen(done.value)
        if not after or after[-1] != asked:
            raise HistoryError(
                f"event {operation.end}: an append of {show(asked)} is answered with a list that ends with "
                f"it, not {show(after)}"
            )
        key = operation.invoke.key
        self._lists[key].append((after, operation))
        self._written[key, after] += 1
        self._count((key, after[:-1]), operation)

    def _count(self, before: Version, operation: Operation) -> None:
        self.updates += 1
        self._observed.add(before)
        self._from[before].append(operation)

    def _settle(self, perhaps: list[tuple[Operation, Version, Version]]) -> None:
        """What was seen of indeterminate updates happened, if nobody else can have written it; and so on."""
        by_result = {
            after: (operation, before) for operation, before, after in perhaps if self._only_one(after)
        }
        waiting = [after for after in by_result if after in self._observed]
        while waiting:
            found = by_result.pop(waiting.pop(), None)
            if found is not None:
                operation, before = found
                self._count(before, operation)
                waiting.append(before)

    def _only_one(self, version: Version) -> bool:
        return self._written[version] == 1 and version[1] != self._initial


def _sentences(lost: Lost) -> list[str]:
    key, version = lost.version
    where = "" if key is None else f" of key {key}"
    times = "" if lost.times == 1 else f", which was there at most {lost.times} times"
    told = [
        f"{len(lost.updates)} updates{where} began with {show(version)}{times}: at least one of them is lost"
    ]
    return told + [in_words(each) for each in lost.updates[:SHOWN]]
