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
        if outcome == "ok":
            if f in model.answers and completion is not None:
                value = _checked(model, f, frozen(completion.value), operation)
            calls.append(Call(f, value, start, end, operation))
        elif (unanswered := model.unanswered(f, value)) is not None:
            calls.append(Call(*unanswered, start, None, operation))
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
    """`required[p]` is the p-th call to return. Of the calls open at its return, by return: `pures[p]` cannot
    change the state, `blinds[p]` always leave the same one, `others[p]` are the rest. `blind_bits[p]` are the
    bits of `blinds[p]`. `crashed[p]` of the `optional` calls have been invoked by then. `follower[p]` is the
    kind of the first call to return at or after p that is not blind, or -1."""

    def __init__(
        self, calls: Sequence[Call], model: Model, initial: State | Illegal = ILLEGAL, keep: bool = False
    ) -> None:
        """`initial`: another state to begin in than the model's. `keep`: more calls are to come, so that no
        optional one can be left out."""
        self.table: Final = Table(model)
        self.initial = self.table.number(model.initial if initial is ILLEGAL else initial)
        self.required = sorted((call for call in calls if call.end is not None), key=_end)
        self.kinds = [self.table.kind(call.f, call.value) for call in self.required]
        optional = [call for call in calls if call.end is None]
        self.optional = sorted(optional, key=_start) if keep else self._optional(optional, model)
        self.optional_kinds = [self.table.kind(call.f, call.value) for call in self.optional]
        self.kind_is_pure = [model.pure(f, value) for f, value in self.table.kinds]
        self.kind_is_blind = [
            model.blind(f, value) and not self.kind_is_pure[kind]
            for kind, (f, value) in enumerate(self.table.kinds)
        ]
        self.optional_bits = self._bits_by_kind()
        self.others: list[tuple[Slot, ...]] = []
        self.blinds: list[tuple[Slot, ...]] = []
        self.pures: list[tuple[Slot, ...]] = []
        self.blind_bits: list[int] = []
        self.bits: list[int] = []
        self.crashed: list[int] = []
        self.width = 0
        self._lay_out()
        self.follower = self._followers()

    def started_by(self, p: int, number: int) -> list[int]:
        """The required calls from the p-th return on that began before the return of `number`, with `p` at
        most that."""
        found = list(range(p, number + 1))
        later = number + 1
        left = len(self.pures[number]) + len(self.blinds[number]) + len(self.others[number]) - 1
        end = self.required[number].end or 0
        while left > 0:
            if self.required[later].start < end:
                found.append(later)
                left -= 1
            later += 1
        return found

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
        seen: dict[int, bool] = {}
        kept = []
        for call, left in sightless:
            own = self.table.kind(call.f, call.value)
            if own not in seen:
                row = None if left is ILLEGAL else self.table.rows[self.table.number(left)]
                seen[own] = row is None or any(row[kind] >= 0 for kind in looks if kind != own)
            if seen[own]:
                kept.append(call)
        return sorted(kept, key=_start)

    def _bits_by_kind(self) -> dict[int, int]:
        """The optional calls of each kind, as bits by their number."""
        found: dict[int, int] = {}
        for number, kind in enumerate(self.optional_kinds):
            found[kind] = found.get(kind, 0) | 1 << number
        return found

    def _followers(self) -> list[int]:
        """For each p, the kind of the first call at or after it that is not blind; -1: none."""
        found = [-1] * (len(self.required) + 1)
        for p in range(len(self.required) - 1, -1, -1):
            found[p] = found[p + 1] if self.kind_is_blind[self.kinds[p]] else self.kinds[p]
        return found

    def _lay_out(self) -> None:
        required, kinds = self.required, self.kinds
        is_pure, is_blind = self.kind_is_pure, self.kind_is_blind
        by_start = sorted(range(len(required)), key=lambda p: required[p].start)
        self.bits = bits = [0] * (len(required) + 1)
        slots: list[Slot] = [(0, 0)] * len(required)
        open_calls: list[int] = []
        free = -1
        started = crashed = 0
        for p, call in enumerate(required):
            end = call.end
            assert end is not None
            while started < len(by_start) and required[by_start[started]].start < end:
                number = by_start[started]
                bits[number] = free & -free
                slots[number] = (bits[number], kinds[number])
                free ^= bits[number]
                insort(open_calls, number)
                started += 1
            while crashed < len(self.optional) and self.optional[crashed].start < end:
                crashed += 1
            found = [slots[each] for each in open_calls]
            self.pures.append(tuple([slot for slot in found if is_pure[slot[1]]]))
            blinds = tuple([slot for slot in found if is_blind[slot[1]]])
            self.blinds.append(blinds)
            self.blind_bits.append(sum([slot[0] for slot in blinds]))
            self.others.append(
                tuple([slot for slot in found if not is_pure[slot[1]] and not is_blind[slot[1]]])
            )
            self.crashed.append(crashed)
            self.width = max(self.width, bits[p].bit_length())
            free |= bits[open_calls.pop(0)]


def _end(call: Call) -> int:
    assert call.end is not None
    return call.end


def _start(call: Call) -> int:
    return call.start
