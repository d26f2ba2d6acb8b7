"""Reads and writes of registers, as the checkers of weak consistency look at them: who saw whose write.

What did not happen is not here: failed operations, reads without an answer, and an indeterminate write that
nobody saw (with it or without it, the others are as right or as wrong). An indeterminate write that was seen
did happen, but nobody knows when, so what its process did afterwards does not come after it.

Left out on purpose: how it is told who saw whose write (`readings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from checkers.history import Op, Operation, seconds
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
    def reads(self) -> bool:
        """It tells what it found; so does a cas."""
        return not self.writes or self.operation.invoke.f == CAS

    @property
    def certain(self) -> bool:
        """It happened between its two events."""
        return self.operation.outcome == "ok"


class Phantom(NamedTuple):
    """A read of what nobody can have written by then: `why` is a clause."""

    operation: Operation
    why: str


@dataclass(frozen=True, slots=True, eq=False)
class Accesses:
    """One reading of a history. `all` by invocation. `reads`: how many of them tell what they found;
    `unclear`: how many reads may have seen one of several writes."""

    all: list[Access]
    phantoms: list[Phantom]
    reads: int
    unclear: int


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
    return f"({seconds(start, completion.time)})"


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
