"""Who saw whose write, where values alone tell it; and every way to read a history where they do not.

Where each value is written once, a read tells which write it saw, and the "differentiated" histories of
Bouajjani et al. (POPL 2017) are of that kind. Where a value may come from several writes (deletes; a
register that holds null before any write), there are several readings of the history, and it is right if one
of them is. The certain one leaves out what an unclear read saw: what contradicts even that is wrong whoever
was read. Of the others all are tried if they are few, else only the one in which each unclear read saw the
latest write that had begun, and that which a linearization tells, if there is one. What contradicts those
that were tried, but might not all others, nobody knows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, product
from math import inf
from typing import Any, Final, NamedTuple, TypeVar

from checkers.accesses import ALLOWED, CAS, INITIAL, READS, UNSEEN, WRITES, Access, Accesses, Phantom
from checkers.convergence import COPIES
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import Value, frozen, show
from checkers.registers import linearizable

Name = TypeVar("Name")
Evidence = TypeVar("Evidence")

READINGS_MAX: Final = 100
JUDGED_MAX: Final = 200_000
"""So many accesses, in all readings together, are judged for the sake of trying all."""


class _Call(NamedTuple):
    operation: Operation
    reads: bool
    read: Value
    writes: bool
    written: Value
    version: Any

    @property
    def until(self) -> float:
        """Until when it may have happened."""
        end = self.operation.end
        return inf if end is None or self.operation.outcome != "ok" else end


@dataclass(slots=True)
class _Origins:
    """Who may have written what: calls by key and value, and the writes that certainly did not happen."""

    initial: Value
    calls: list[_Call] = field(default_factory=list)
    by_value: dict[tuple[str | None, Value], list[int]] = field(default_factory=dict)
    failed: dict[tuple[str | None, Value], Operation] = field(default_factory=dict)

    def count(self, number: int) -> int:
        """How many it may have seen: what began while it may still have happened, and the initial value."""
        _, begun, own = self._begun(number)
        return begun - (own < begun) + bool(self.calls[number].read == self.initial)

    def nth(self, number: int, back: int) -> int:
        """Of these the latest (0), the one before it (1), and so on; `INITIAL` comes last."""
        known, begun, own = self._begun(number)
        at = begun - 1 - back
        at -= at <= own < begun
        return known[at] if at >= 0 else INITIAL

    def _start(self, number: int) -> int:
        return self.calls[number].operation.start

    def _begun(self, number: int) -> tuple[list[int], int, int]:
        """All who wrote what it read, how many of them had begun, and its own place if it is one of them."""
        call = self.calls[number]
        known = self.by_value.get((call.operation.invoke.key, call.read), [])
        begun = bisect_left(known, call.until, key=self._start)
        own = bisect_left(known, number)
        return known, begun, own if known[own : own + 1] == [number] else begun

    def leave_out_the_impossible(self) -> None:
        """An indeterminate cas of what nobody can have written did not happen; and so on."""
        perhaps = [at for at, call in enumerate(self.calls) if call.reads and call.operation.outcome != "ok"]
        found = True
        while found:
            found = False
            for number in perhaps:
                call = self.calls[number]
                what = (call.operation.invoke.key, call.written)
                if not self.count(number) and number in self.by_value[what]:
                    self.by_value[what].remove(number)
                    self.failed.setdefault(what, call.operation)
                    found = True

    def why_none(self, number: int) -> str:
        call = self.calls[number]
        what = (call.operation.invoke.key, call.read)
        if any(other != number for other in self.by_value.get(what, ())):
            return f"{show(call.read)} was only written later"
        if what not in self.failed:
            return f"nobody wrote {show(call.read)}"
        if self.failed[what].outcome == "fail":
            return f"the only write of {show(call.read)} had failed"
        return f"the only write of {show(call.read)} was a cas of what nobody wrote"


class Readings:
    """HistoryError if it is malformed or has operations other than reads, writes and cas (and `copies`, which
    are passed over). A value may be written as {"value": ..., "version": ...}, in completions too; versions
    of one key compare as the store orders them. `refuted`: it is known not to be linearizable."""

    def __init__(self, history: Sequence[Op], initial: Value = None, *, refuted: bool = False) -> None:
        self._refuted = refuted
        self._history = history
        self._initial = initial
        self._origins = _Origins(frozen(initial))
        for operation in pair(history):
            _take(operation, self._origins)
        self._origins.leave_out_the_impossible()
        calls = self._origins.calls
        read = {(call.operation.invoke.key, call.read) for call in calls if call.reads}
        counts = {
            number: self._origins.count(number)
            for number, call in enumerate(calls)
            if call.reads
            and (call.operation.outcome == "ok" or (call.operation.invoke.key, call.written) in read)
        }
        self._baseless = [number for number, count in counts.items() if not count]
        self._seen = [UNSEEN] * len(calls)
        for number, count in counts.items():
            if count == 1:
                self._seen[number] = self._origins.nth(number, 0)
        self._unclear = {number: count for number, count in counts.items() if count > 1}
        self.certain = self._reading(self._seen)
        self.exhaustive = self._few(self._unclear.values())
        """Whether `tried` are all that there are."""

    def tried(self) -> Iterator[Accesses]:
        """`latest` first."""
        yield self.latest
        if self.exhaustive:
            for choice in islice(product(*map(range, self._unclear.values())), 1, None):
                yield self._choosing(choice)

    @cached_property
    def latest(self) -> Accesses:
        """That in which all saw the latest write."""
        return self._choosing((0,) * len(self._unclear))

    def _choosing(self, backs: Sequence[int]) -> Accesses:
        seen = list(self._seen)
        for number, back in zip(self._unclear, backs, strict=True):
            seen[number] = self._origins.nth(number, back)
        return self._reading(seen)

    def linearizable(self) -> bool:
        """Then there is a reading in which nothing is wrong."""
        return not self._refuted and linearizable(self._history, self._initial)

    def _few(self, counts: Iterable[int]) -> bool:
        most = min(READINGS_MAX, JUDGED_MAX // max(1, len(self.certain.all)))
        number = 1
        for count in counts:
            number *= count
            if number > most:
                return False
        return True

    def _reading(self, seen: Sequence[int]) -> Accesses:
        calls = self._origins.calls
        happened = _happened(calls, seen)
        phantoms = [
            Phantom(calls[number].operation, self._origins.why_none(number))
            for number in self._baseless
            if happened[number]
        ]
        reads = sum(call.reads and sure for call, sure in zip(calls, happened, strict=True))
        return Accesses(_numbered(calls, seen, happened), phantoms, reads, len(self._unclear))


def accesses(history: Sequence[Op], *, initial: Value = None) -> Accesses:
    """The certain reading."""
    return Readings(history, initial).certain


def settled(
    readings: Readings, broken: Callable[[Accesses], Mapping[Name, Evidence]]
) -> tuple[dict[Name, Evidence], set[Name]]:
    """What is broken for certain, each with what shows it, and what nobody can tell. `broken` judges one
    reading; what it finds in the certain one, it finds in all."""
    if not readings.certain.unclear:
        return dict(broken(readings.certain)), set()
    if readings.linearizable():
        return {}, set()
    tried = readings.tried()
    always = dict(broken(next(tried)))
    found = dict(broken(readings.certain)) if always else {}
    if always.keys() <= found.keys():
        return found, set()
    for reading in tried:
        here = broken(reading)
        always = {key: always[key] for key in always if key in here}
        if always.keys() <= found.keys():
            return found, set()
    if readings.exhaustive:
        return always | found, set()
    return found, always.keys() - found.keys()


def doubt(unclear: int) -> str:
    """Why a checker cannot tell."""
    return (
        f"{unclear:,} reads may have seen one of several writes of the same value: if they saw the latest, "
        "something is wrong; whatever they saw, nothing else is"
    )


def _take(operation: Operation, origins: _Origins) -> None:
    f, outcome, key = operation.invoke.f, operation.outcome, operation.invoke.key
    if f in READS:
        if outcome == "ok":
            assert operation.completion is not None
            value, version = _parted(frozen(operation.completion.value))
            origins.calls.append(_Call(operation, True, value, False, None, version))
        return
    if f == COPIES:
        return
    value, version = _parted(frozen(operation.value))
    expected = None
    if f == CAS:
        if not isinstance(value, tuple) or len(value) != 2:
            raise HistoryError(
                f"event {operation.start}: the value of a cas is [expected, new], not {show(value)}"
            )
        expected, value = value
    elif f not in WRITES:
        raise HistoryError(f"event {operation.start}: {f!r} is not an operation of a register: {ALLOWED}")
    elif f == "delete":
        value = None
    if outcome == "fail":
        origins.failed.setdefault((key, value), operation)
        return
    origins.by_value.setdefault((key, value), []).append(len(origins.calls))
    origins.calls.append(_Call(operation, f == CAS, expected, True, value, version))


def _parted(value: Value) -> tuple[Value, Any]:
    """The value and the version, if it has one; dicts are frozen to sorted pairs."""
    match value:
        case (("value", held), ("version", version)):
            return held, version
    return value, None


def _happened(calls: Sequence[_Call], seen: Sequence[int]) -> list[bool]:
    """The acknowledged ones, and whatever one of these saw, and so on."""
    happened = [call.operation.outcome == "ok" for call in calls]
    waiting = [number for number, sure in enumerate(happened) if sure]
    while waiting:
        origin = seen[waiting.pop()]
        if origin >= 0 and not happened[origin]:
            happened[origin] = True
            waiting.append(origin)
    return happened


def _numbered(calls: Sequence[_Call], seen: Sequence[int], happened: Sequence[bool]) -> list[Access]:
    numbers: list[int] = []
    count = 0
    for sure in happened:
        numbers.append(count)
        count += sure
    found: list[Access] = []
    last: dict[int | str, int] = {}
    for number, call in enumerate(calls):
        if not happened[number]:
            continue
        operation, reads, read, writes, written, version = call
        process = operation.invoke.process
        origin = seen[number]
        value = written if writes else read
        found.append(
            Access(
                len(found),
                operation,
                operation.invoke.key,
                last.get(process, -1),
                numbers[origin] if reads and origin >= 0 else origin,
                writes,
                value,
                version,
            )
        )
        if operation.outcome == "ok":
            last[process] = len(found) - 1
    return found
