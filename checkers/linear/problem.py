"""One object's operations, laid out for the search.

Required calls (`ok`: they happened) are numbered by their return, optional ones (`info`: they may have
happened, at any time after their invocation) by their invocation. While call p is the next to return, the
calls that can come next are exactly the ones open at that moment, `window(p)`; each has a bit, given back
when it returns, so that "which of the open calls were linearized already" is one small integer.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from checkers.history import HistoryError, Operation
from checkers.models import ILLEGAL, FailedCas, Illegal, Model, State, Value, frozen


class Call(NamedTuple):
    """An operation as the model sees it; `end` is None if it is optional."""

    f: str
    value: Value
    start: int
    end: int | None
    operation: Operation


def calls_of(operations: Iterable[Operation], model: Model, failed_cas: FailedCas) -> list[Call]:
    """Without what certainly did not happen, and without reads that nobody saw the result of."""
    calls = []
    for operation in operations:
        invoke, completion, start, end = operation
        outcome = operation.outcome
        f = invoke.f
        if f not in model.operations:
            raise HistoryError(
                f"event {start}: the model {model.name} has no operation {f!r}; "
                f"it has {', '.join(sorted(model.operations))}"
            )
        if outcome == "fail":
            said = failed_cas == "observe" or (failed_cas == "mismatch" and operation.error == "mismatch")
            observed = model.refused(f, _value(model, f, operation)) if said else None
            if observed is not None:
                calls.append(Call(*observed, start, end, operation))
            continue
        value = _value(model, f, operation)
        pure = model.pure(f, value)
        if outcome == "ok":
            if f in model.answers and completion is not None:
                value = _checked(model, f, frozen(completion.value), operation)
            calls.append(Call(f, value, start, end, operation))
        elif not pure:
            calls.append(Call(f, value, start, None, operation))
    return calls


def _value(model: Model, f: str, operation: Operation) -> Value:
    return _checked(model, f, frozen(operation.value), operation)


def _checked(model: Model, f: str, value: Value, operation: Operation) -> Value:
    wrong = model.malformed(f, value)
    if wrong is not None:
        raise HistoryError(f"event {operation.start}: {wrong}")
    return value


class Row(dict[int, int]):
    """What each kind of operation does in one state: the next state's number, or -1; filled in when asked."""

    __slots__ = ("_state", "_table")

    def __init__(self, table: Table, state: State) -> None:
        super().__init__()
        self._table = table
        self._state = state

    def __missing__(self, kind: int) -> int:
        f, value = self._table.kinds[kind]
        after = self._table.model.step(self._state, f, value)
        number = -1 if after is ILLEGAL else self._table.number(after)
        self[kind] = number
        return number


class Table:
    """States and kinds of operation (f and value) as small numbers, and the memoised step between them."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.kinds: list[tuple[str, Value]] = []
        self.states: list[State] = []
        self.rows: list[Row] = []
        self._kinds: dict[tuple[str, Value], int] = {}
        self._states: dict[State, int] = {}

    def kind(self, f: str, value: Value) -> int:
        number = self._kinds.setdefault((f, value), len(self.kinds))
        if number == len(self.kinds):
            self.kinds.append((f, value))
        return number

    def number(self, state: State | Illegal) -> int:
        number = self._states.setdefault(state, len(self.states))
        if number == len(self.states):
            self.states.append(state)
            self.rows.append(Row(self, state))
        return number


Slot = tuple[int, int]
"""A bit and a kind."""


class Problem:
    """`required[p]` is the p-th call to return; `windows[p]` and `pures[p]` are the calls open at its return,
    those that may change the state and those that cannot, by return. `crashed[p]` of the `optional` calls
    have been invoked by then."""

    def __init__(self, calls: Sequence[Call], model: Model, initial: State | Illegal = ILLEGAL) -> None:
        """`initial`: another state to begin in than the model's."""
        self.table: Final = Table(model)
        self.initial = self.table.number(model.initial if initial is ILLEGAL else initial)
        self.required = sorted((call for call in calls if call.end is not None), key=_end)
        self.kinds = [self.table.kind(call.f, call.value) for call in self.required]
        self.is_pure = [model.pure(f, value) for f, value in self.table.kinds]
        self.optional = self._optional([call for call in calls if call.end is None], model)
        self.optional_kinds = [self.table.kind(call.f, call.value) for call in self.optional]
        self.windows: list[tuple[Slot, ...]] = []
        self.pures: list[tuple[Slot, ...]] = []
        self.bits: list[int] = []
        self.crashed: list[int] = []
        self.width = 0
        self._lay_out()

    def _optional(self, calls: list[Call], model: Model) -> list[Call]:
        """Those that could matter: a call that leaves a state which no other call looks at is left out."""
        looks = [kind for kind, (f, value) in enumerate(self.table.kinds) if not model.blind(f, value)]
        sightless = [(call, model.leaves(call.f, call.value)) for call in calls]
        others = {
            self.table.kind(call.f, call.value)
            for call, _ in sightless
            if not model.blind(call.f, call.value)
        }
        looks += sorted(others.difference(looks))
        kept = []
        for call, left in sightless:
            own = self.table.kind(call.f, call.value)
            row = None if left is ILLEGAL else self.table.rows[self.table.number(left)]
            if row is None or any(row[kind] >= 0 for kind in looks if kind != own):
                kept.append(call)
        return kept

    def _lay_out(self) -> None:
        required, kinds, is_pure = self.required, self.kinds, self.is_pure
        by_start = sorted(range(len(required)), key=lambda p: required[p].start)
        self.bits = bits = [0] * (len(required) + 1)
        open_calls: list[int] = []
        free = -1
        started = crashed = 0
        for p, call in enumerate(required):
            end = call.end
            assert end is not None
            while started < len(by_start) and required[by_start[started]].start < end:
                bit = free & -free
                free ^= bit
                bits[by_start[started]] = bit
                insort(open_calls, by_start[started])
                started += 1
            while crashed < len(self.optional) and self.optional[crashed].start < end:
                crashed += 1
            slots = [(bits[each], kinds[each]) for each in open_calls]
            self.windows.append(tuple([slot for slot in slots if not is_pure[slot[1]]]))
            self.pures.append(tuple([slot for slot in slots if is_pure[slot[1]]]))
            self.crashed.append(crashed)
            self.width = max(self.width, bits[p].bit_length())
            free |= bits[open_calls.pop(0)]


def _end(call: Call) -> int:
    assert call.end is not None
    return call.end
