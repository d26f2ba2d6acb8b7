"""The history: what was asked, when, and what was answered.

An operation is one `invoke` and, later, at most one completion by the same process: `ok` (it happened),
`fail` (it certainly did not) or `info` (either, at any later time: concurrent with everything to the end).
These are Jepsen's semantics (jepsen.history, jepsen.core), so that its users' knowledge carries over.

Real-time order is the order of events in the history, never their `time`: clocks of two threads may be read
in another order than the one in which their events were recorded.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

import msgspec

NEMESIS = "nemesis"
"""The process that injects faults; its operations are `info` at both ends."""

Type = Literal["invoke", "ok", "fail", "info"]


class Op(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One event of a history.

    `index` counts events from 0, `time` is nanoseconds since the start of the run on a monotonic clock
    (-1: not recorded). `process` is a logical single-threaded client, or `NEMESIS`. `key` names the
    independent object that the operation is about, or is None where there is only one.
    """

    index: int = -1
    time: int = -1
    process: int | str = -1
    type: Type = "invoke"
    f: str = ""
    key: str | None = None
    value: Any = None
    error: Any = None


class HistoryError(Exception):
    """The history is not one: a sentence that names the place and what is wrong there."""


class Operation(NamedTuple):
    """An invocation and its completion (None: it was still open at the end).

    `start` and `end` are the positions of the two events in the history; `end` is None if none came.
    """

    invoke: Op
    completion: Op | None
    start: int
    end: int | None

    @property
    def outcome(self) -> Type:
        """`ok`, `fail` or `info`; an operation that never completed is `info`."""
        return "info" if self.completion is None else self.completion.type

    @property
    def error(self) -> Any:
        """The completion's."""
        return None if self.completion is None else self.completion.error

    @property
    def value(self) -> Any:
        """The value of the `ok` completion if it has one, else of the invocation."""
        done = self.completion
        if done is not None and done.type == "ok" and done.value is not None:
            return done.value
        return self.invoke.value


class Pairing:
    """Matches completions to invocations, event by event, and refuses what cannot be a history.

    Events of the nemesis are exempt: it pairs with itself in whatever way its faults need.
    """

    def __init__(self) -> None:
        self._open: dict[int | str, tuple[int, Op]] = {}
        self._last: dict[int | str, Op] = {}
        self._position = 0

    def add(self, op: Op) -> Operation | None:
        """The operation that `op` completes, if it completes one; HistoryError if it cannot come next."""
        position = self._position
        self._position += 1
        process = op.process
        if process == NEMESIS:
            return None
        if op.type == "invoke":
            if op.f == "" or process == -1:
                raise HistoryError(f"an operation needs {'an f' if op.f == '' else 'a process'}: {op}")
            if process in self._open:
                raise HistoryError(
                    f"process {process} invokes {op.f} while its {self._open[process][1].f} is outstanding"
                )
            self._open[process] = (position, op)
            return None
        if process not in self._open:
            raise HistoryError(self._unmatched(op))
        start, invoke = self._open.pop(process)
        if invoke.f != op.f or invoke.key != op.key:
            raise HistoryError(f"process {process} invoked {_named(invoke)} but completes {_named(op)}")
        self._last[process] = op
        return Operation(invoke, op, start, position)

    def outstanding(self) -> list[Operation]:
        """The operations that have not completed, by invocation."""
        return [
            Operation(invoke, None, start, None) for start, invoke in sorted(self._open.values(), key=_first)
        ]

    def _unmatched(self, op: Op) -> str:
        last = self._last.get(op.process)
        if last is not None and last.f == op.f:
            return f"process {op.process} completes its {op.f} twice, as {last.type} and then as {op.type}"
        return f"process {op.process} completes {_named(op)} as {op.type}, but has not invoked it"


def pair(history: Iterable[Op]) -> list[Operation]:
    """The clients' operations in the order of their invocation; HistoryError names the faulty event."""
    pairing = Pairing()
    operations = []
    for position, op in enumerate(history):
        try:
            operation = pairing.add(op)
        except HistoryError as error:
            raise HistoryError(f"event {position}: {error}") from None
        if operation is not None:
            operations.append(operation)
    operations += pairing.outstanding()
    operations.sort(key=lambda operation: operation.start)
    return operations


def seconds(start_ns: int, end_ns: int) -> str:
    """From when to when, to the millisecond; to the microsecond where that would read as the same."""
    for digits in (3, 6):
        start, end = (f"{time / 1e9:.{digits}f} s" for time in (start_ns, end_ns))
        if start != end:
            break
    return f"{start} to {end}"


def _first(opened: tuple[int, Op]) -> int:
    return opened[0]


def _named(op: Op) -> str:
    return op.f if op.key is None else f"{op.f} of key {op.key}"
