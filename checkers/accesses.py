"""Reads and writes of registers, as the checkers of weak consistency look at them: who saw whose write.

Where each value is written once, a read tells which write it saw, and the "differentiated" histories of
Bouajjani et al. (POPL 2017) are of that kind. Where a value may come from several writes (deletes; a
register that holds null before any write), there are two readings. The certain one leaves out what such a
read saw: what contradicts even that is wrong whoever was read. The guess takes the latest write that had
begun: where that contradicts nothing, nothing does. Between the two a checker does not know.

What did not happen is not here: failed operations, reads without an answer, and an indeterminate write that
nobody saw (with it or without it, the others are as right or as wrong). An indeterminate write that was seen
did happen, but nobody knows when, so what its process did afterwards does not come after it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from checkers.convergence import COPIES
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import Value, frozen, show

READS: Final = frozenset({"read", "get"})
WRITES: Final = frozenset({"write", "put", "delete"})
CAS: Final = "cas"
ALLOWED: Final = ", ".join([*sorted(READS | WRITES), CAS])

INITIAL: Final = -1
"""In place of a write's number: what the register held before any write."""
UNSEEN: Final = -2
"""It did not read, or nobody can tell whose write it saw."""


class Access(NamedTuple):
    """An operation that happened, the `number`-th by invocation. `previous` is the number of the last
    acknowledged one of its process before it (-1: none); `seen` that of the write it saw, or `INITIAL` or
    `UNSEEN`; `version` what the store said of the version that was written or read, or None. A cas sees and
    writes."""

    number: int
    operation: Operation
    key: str | None
    previous: int
    seen: int
    writes: bool
    value: Value
    version: Any

    @property
    def process(self) -> int | str:
        return self.operation.invoke.process

    @property
    def certain(self) -> bool:
        """It happened between its two events."""
        return self.operation.outcome == "ok"


class Phantom(NamedTuple):
    """A read of what nobody can have written by then: `why` is a clause."""

    operation: Operation
    why: str


@dataclass(frozen=True, slots=True)
class Accesses:
    """`all` by invocation. `unclear`: how many reads may have seen one of several writes."""

    all: list[Access]
    phantoms: list[Phantom]
    unclear: int

    def writes_by_key(self) -> dict[str | None, list[Access]]:
        found: dict[str | None, list[Access]] = {}
        for access in self.all:
            if access.writes:
                found.setdefault(access.key, []).append(access)
        return found


class _Call(NamedTuple):
    operation: Operation
    reads: bool
    read: Value
    writes: bool
    written: Value
    version: Any


@dataclass(slots=True)
class _Origins:
    """Who may have written what: calls by key and value, and the writes that certainly failed."""

    initial: Value
    calls: list[_Call]
    by_value: dict[tuple[str | None, Value], list[int]] = field(default_factory=dict)
    failed: dict[tuple[str | None, Value], Operation] = field(default_factory=dict)

    def of(self, number: int) -> list[int]:
        """By invocation, `INITIAL` first: the calls that began before this one ended."""
        call = self.calls[number]
        end = call.operation.end
        found = [INITIAL] if call.read == self.initial else []
        for other in self.by_value.get((call.operation.invoke.key, call.read), ()):
            if other != number and (end is None or self.calls[other].operation.start < end):
                found.append(other)
        return found

    def why_none(self, number: int) -> str:
        call = self.calls[number]
        what = (call.operation.invoke.key, call.read)
        if any(other != number for other in self.by_value.get(what, ())):
            return f"{show(call.read)} was only written later"
        if what in self.failed:
            return f"the only write of {show(call.read)} had failed"
        return f"nobody wrote {show(call.read)}"


def accesses(history: Sequence[Op], *, initial: Value = None, guess: bool = False) -> Accesses:
    """HistoryError if it is malformed or has operations other than reads, writes and cas (and `copies`, which
    are passed over). A value may be written as {"value": ..., "version": ...}, in completions too; versions
    of one key compare as the store orders them."""
    origins = _Origins(frozen(initial), [])
    for operation in pair(history):
        _take(operation, origins)
    calls = origins.calls
    seen = [UNSEEN] * len(calls)
    baseless: list[int] = []
    unclear = 0
    for number, call in enumerate(calls):
        if not call.reads:
            continue
        possible = origins.of(number)
        if len(possible) == 1 or (guess and possible):
            seen[number] = possible[-1]
        unclear += len(possible) > 1
        if not possible:
            baseless.append(number)
    happened = _happened(calls, seen)
    phantoms = [
        Phantom(calls[number].operation, origins.why_none(number)) for number in baseless if happened[number]
    ]
    return Accesses(_numbered(calls, seen, happened), phantoms, unclear)


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


# In words -----------------------------------------------------------------------------------------------


def told(operation: Operation) -> dict[str, Any]:
    """An operation of a counterexample; `start` and `end` are positions in the history, times nanoseconds
    or -1."""
    invoke, completion, start, end = operation
    return {
        "index": invoke.index,
        "process": invoke.process,
        "f": invoke.f,
        "key": invoke.key,
        "value": _value(operation),
        "outcome": operation.outcome,
        "error": operation.error,
        "start": start,
        "end": end,
        "invoked_ns": invoke.time,
        "completed_ns": -1 if completion is None else completion.time,
        "open_at_the_end": operation.outcome == "info",
    }


def _value(operation: Operation) -> Any:
    done = operation.completion
    return (
        done.value
        if done is not None and operation.outcome == "ok" and operation.invoke.f in READS
        else operation.value
    )


def in_words(operation: Operation) -> str:
    """'process 3 read 12 on key k7 (14.201 s to 14.204 s)'"""
    invoke, completion = operation.invoke, operation.completion
    value = frozen(_value(operation))
    if invoke.f in READS:
        did = f"read {show(value)}"
    elif invoke.f == CAS and isinstance(value, tuple) and len(value) == 2:
        did = f"changed {show(value[0])} to {show(value[1])}"
    elif invoke.f == "delete" or (invoke.f in WRITES and value is None):
        did = "deleted it"
    else:
        did = f"wrote {show(value)}" if invoke.f in WRITES else f"did {invoke.f} {show(value)}"
    where = "" if invoke.key is None else f" on key {invoke.key}"
    return f"process {invoke.process} {did}{where} {_span(operation, completion)}"


def _span(operation: Operation, completion: Op | None) -> str:
    start = operation.invoke.time
    if operation.outcome == "info" or completion is None:
        begun = f"{start / 1e9:.3f} s" if start >= 0 else f"event {operation.start}"
        return f"(from {begun}, never acknowledged)"
    if min(start, completion.time) < 0:
        return f"(events {operation.start} to {operation.end})"
    return f"({start / 1e9:.3f} s to {completion.time / 1e9:.3f} s)"


def counterexample(operations: Iterable[Operation]) -> list[dict[str, Any]]:
    """Each once, by invocation."""
    return [told(each) for _, each in sorted({each.start: each for each in operations}.items())]


def phantom_details(phantoms: Sequence[Phantom]) -> dict[str, Any]:
    """What a verdict tells of reads out of thin air: the first of them."""
    first = phantoms[0]
    return {
        "anomaly": "thin-air read",
        "key": first.operation.invoke.key,
        "explanation": [f"{in_words(first.operation)}, but {first.why}"],
        "operations": counterexample([first.operation]),
        "thin_air_reads": len(phantoms),
    }


def doubt(unclear: int) -> str:
    """Why a checker that follows both readings cannot tell."""
    return (
        f"{unclear:,} reads may have seen one of several writes of the same value: if they saw the latest, "
        "something is wrong; whatever they saw, nothing else is"
    )


def relinked(all_of_them: Sequence[Access], number: int) -> list[Access] | None:
    """Without that one, numbered anew; None if somebody saw what it wrote."""
    left_out = all_of_them[number]
    if any(access.seen == number for access in all_of_them):
        return None

    def moved(other: int) -> int:
        if other == number:
            return moved(left_out.previous)
        return other - (other > number)

    return [
        access._replace(number=moved(access.number), previous=moved(access.previous), seen=moved(access.seen))
        for access in all_of_them
        if access is not left_out
    ]
