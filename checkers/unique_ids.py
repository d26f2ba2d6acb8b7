"""Identifiers: was each given out only once? Jepsen's `unique-ids`."""

from __future__ import annotations

from typing import Any, Final

from checkers.accesses import counterexample
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import Value, frozen, show
from checkers.verdict import Status, Verdict

SHOWN: Final = 5


class UniqueIds:
    """A `Checker`. Operations: `generate`, answered with an id, of whatever key; others are passed over. An
    id whose answer nobody saw cannot have been given out twice. HistoryError for an answer that is null.

    Invalid: an id was given out twice. Vacuous: none was given out.

    `details`: `attempted`, `acknowledged`, `duplicated` (ids), `extra` (answers beyond the first of their
    id), `most_often` ([{id, times}]), `range` ([least, greatest] if all are of one kind that has an order)
    and the `operations` of the counterexample: the first two of each id.
    """

    name = "unique-ids"

    def check(self, history: list[Op]) -> Verdict:
        asked = [operation for operation in pair(history) if operation.invoke.f == "generate"]
        given: dict[Value, list[Operation]] = {}
        for operation in asked:
            if operation.outcome != "ok" or operation.completion is None:
                continue
            value = frozen(operation.completion.value)
            if value is None:
                raise HistoryError(f"event {operation.end}: a generate is answered with an id, not nil")
            given.setdefault(value, []).append(operation)
        again = {value: operations for value, operations in given.items() if len(operations) > 1}
        acknowledged = sum(map(len, given.values()))
        worst = sorted(again, key=lambda value: -len(again[value]))[:SHOWN]
        details: dict[str, Any] = {
            "attempted": len(asked),
            "acknowledged": acknowledged,
            "duplicated": len(again),
            "extra": acknowledged - len(given),
            "most_often": [{"id": value, "times": len(again[value])} for value in worst],
            "range": _range(list(given)),
        }
        if again:
            details["operations"] = counterexample([op for value in worst for op in again[value][:2]])
            first, second = again[worst[0]][:2]
            text = (
                f"{len(again):,} of {len(given):,} ids were given out more than once: {show(worst[0])} to "
                f"process {first.invoke.process} and again to process {second.invoke.process}"
            )
            return Verdict(self.name, Status.INVALID, text, details)
        if not given:
            return Verdict(self.name, Status.VACUOUS, "no id was given out", details)
        return Verdict(self.name, Status.VALID, f"{acknowledged:,} ids, each given out once", details)


def _range(values: list[Value]) -> list[Value] | None:
    kinds = {type(value) for value in values}
    return [min(values), max(values)] if kinds in ({int}, {str}) else None
