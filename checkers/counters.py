"""Counters: is every value that was read one that the additions allow, and did none of them get lost?

A read must count each addition that was acknowledged before it began, may count each that had begun when it
ended, and nothing else. With additions of both signs that leaves an interval (Jepsen's `counter`, for
increments; here amounts may be negative, as in a PN-counter). An indeterminate addition may count in one read
and not in another for ever.

Left out on purpose: which sums within the interval can be made of the amounts, and whether reads fit
together; `Linearizable(Counter())` judges that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from checkers.accesses import counterexample, told
from checkers.convergence import COPIES, copies_of, some_names
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import frozen, show
from checkers.verdict import Status, Verdict

SHOWN: Final = 5


class Reading(NamedTuple):
    """A read, or what one node's copy held (`node`), and the least and most that it may tell."""

    operation: Operation
    value: int
    low: int
    high: int
    node: str = ""

    @property
    def possible(self) -> bool:
        return self.low <= self.value <= self.high

    @property
    def off_by(self) -> int:
        return max(self.low - self.value, self.value - self.high, 0)


class CounterBounds:
    """A `Checker`. Operations, by key: `add` of a whole number, `read`, and `copies` ({node: number, or in
    words why it is not known}); others are passed over. `every_read`: all reads are held to their interval,
    and not only the last ones: those of a key that began after its last acknowledged addition had ended and,
    if its copies were looked at since, after the last look; and that last look itself.
    `keeps_acknowledged`: the store promises that; otherwise what was acknowledged may count or not.

    Invalid: such a read is out of its interval. Unknown: a key was not read after its last acknowledged
    addition. Vacuous: no addition was acknowledged, or nothing read.

    `details`: `additions`, `acknowledged`, `indeterminate`, `reads`, `out_of_bounds`, `worst` ([{key, value,
    low, high, node, read}]), and `final` {key: {low, high, values}}.
    """

    name = "counter"

    def __init__(self, every_read: bool = True, keeps_acknowledged: bool = True) -> None:
        self._every_read = every_read
        self._keeps_acknowledged = keeps_acknowledged

    def check(self, history: list[Op]) -> Verdict:
        readings: list[Reading] = []
        final: list[Reading] = []
        counts = dict.fromkeys(("additions", "acknowledged", "indeterminate", "reads", "out_of_bounds"), 0)
        unseen: list[str | None] = []
        for key, operations in _by_key(history).items():
            adds = [op for op in operations if op.invoke.f == "add" and op.outcome != "fail"]
            mine = _readings(operations, self._keeps_acknowledged)
            last = _last(mine, adds)
            at_last = {id(reading) for reading in last}
            readings += [reading for reading in mine if not reading.node or id(reading) in at_last]
            final += last
            counts["additions"] += len(adds)
            counts["acknowledged"] += sum(add.outcome == "ok" for add in adds)
            if not last and any(add.outcome == "ok" for add in adds):
                unseen.append(key)
        counts["indeterminate"] = counts["additions"] - counts["acknowledged"]
        counts["reads"] = sum(not reading.node for reading in readings)
        wrong = [reading for reading in readings if not reading.possible]
        counts["out_of_bounds"] = len(wrong)
        return self._verdict(counts, final, wrong, unseen)

    def _verdict(
        self,
        counts: dict[str, int],
        final: Sequence[Reading],
        wrong: list[Reading],
        unseen: list[str | None],
    ) -> Verdict:
        worst = sorted(wrong, key=lambda reading: -reading.off_by)[:SHOWN]
        details = {**counts, "worst": [_shown(reading) for reading in worst], "final": _final(final)}
        at_last = {id(reading) for reading in final}
        judged = wrong if self._every_read else [reading for reading in wrong if id(reading) in at_last]
        if judged:
            first = judged[0]
            where = "" if first.operation.invoke.key is None else f" of {first.operation.invoke.key}"
            copy = f" on {first.node}" if first.node else ""
            text = (
                f"{len(judged):,} values cannot be: the first{where}{copy} was {first.value:,}, between "
                f"{first.low:,} and {first.high:,} it might have been"
            )
            details["operations"] = counterexample([reading.operation for reading in judged[:SHOWN]])
            return Verdict(self.name, Status.INVALID, text, details)
        if not counts["acknowledged"] or not (counts["reads"] or final):
            text = "nobody both added to a counter, with an acknowledgement, and read one"
            return Verdict(self.name, Status.VACUOUS, text, details)
        if unseen:
            names = some_names([key or "the counter" for key in unseen])
            text = f"nobody has read {names} after the last acknowledged addition"
            return Verdict(self.name, Status.UNKNOWN, text, details)
        text = f"all {counts['acknowledged']:,} acknowledged additions count in the end"
        if not self._keeps_acknowledged:
            text = (
                f"nothing counts that was not added; of {counts['acknowledged']:,} additions some may be lost"
            )
        if self._every_read:
            text += f", and all {counts['reads']:,} reads are within their bounds"
        elif wrong:
            text += f"; {len(wrong):,} values before were out of bounds, which is allowed here"
        return Verdict(self.name, Status.VALID, text, details)


def _by_key(history: Iterable[Op]) -> dict[str | None, list[Operation]]:
    """HistoryError if a value is not a whole number."""
    found: dict[str | None, list[Operation]] = {}
    for operation in pair(history):
        f = operation.invoke.f
        if f not in ("add", "read", COPIES):
            continue
        if f == "add":
            _whole(operation.invoke.value, f"event {operation.start}: the value of an add")
        elif operation.outcome != "ok":
            continue
        found.setdefault(operation.invoke.key, []).append(operation)
    return found


def _readings(operations: Sequence[Operation], keeps_acknowledged: bool) -> list[Reading]:
    """Of one key, by invocation."""
    sure_up, sure_down, maybe_up, maybe_down = 0, 0, 0, 0
    sure: dict[int, tuple[int, int]] = {}
    found: list[Reading] = []
    for operation, begins in _moments(operations):
        if operation.invoke.f != "add":
            if begins:
                sure[operation.start] = sure_up, sure_down
                continue
            up, down = sure.pop(operation.start)
            found += _told(operation, up + maybe_down, maybe_up + down)
            continue
        amount = operation.invoke.value
        if operation.outcome == "fail":
            continue
        if begins:
            maybe_up, maybe_down = maybe_up + max(amount, 0), maybe_down + min(amount, 0)
        elif operation.outcome == "ok" and keeps_acknowledged:
            sure_up, sure_down = sure_up + max(amount, 0), sure_down + min(amount, 0)
    return sorted(found, key=lambda reading: reading.operation.start)


def _moments(operations: Sequence[Operation]) -> Iterable[tuple[Operation, bool]]:
    """Begins and ends, in their order."""
    begins = [(operation.start, operation, True) for operation in operations]
    ends = [(operation.end, operation, False) for operation in operations if operation.end is not None]
    for _, operation, begin in sorted([*begins, *ends], key=lambda moment: moment[0]):
        yield operation, begin


def _told(operation: Operation, low: int, high: int) -> list[Reading]:
    assert operation.completion is not None
    where = f"event {operation.end}: a counter's value"
    if operation.invoke.f == COPIES:
        known = {
            node: held for node, held in sorted(copies_of(operation).items()) if not isinstance(held, str)
        }
        return [Reading(operation, _whole(held, where), low, high, node) for node, held in known.items()]
    return [Reading(operation, _whole(operation.completion.value, where), low, high)]


def _last(readings: Sequence[Reading], adds: Sequence[Operation]) -> list[Reading]:
    over = max([add.end or 0 for add in adds if add.outcome == "ok"], default=-1)
    looks = [reading for reading in readings if reading.node and reading.operation.start > over]
    if looks:
        look = looks[-1].operation
        over = look.end or 0
        looks = [reading for reading in looks if reading.operation is look]
    return [*looks, *[each for each in readings if not each.node and each.operation.start > over]]


def _final(readings: Iterable[Reading]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for reading in readings:
        key = reading.operation.invoke.key or ""
        one = found.setdefault(key, {"low": reading.low, "high": reading.high, "values": []})
        if reading.value not in one["values"]:
            one["values"].append(reading.value)
    return found


def _shown(reading: Reading) -> dict[str, Any]:
    return {
        "key": reading.operation.invoke.key,
        "value": reading.value,
        "low": reading.low,
        "high": reading.high,
        "node": reading.node,
        "read": told(reading.operation),
    }


def _whole(value: Any, what: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise HistoryError(f"{what} is a whole number, not {show(frozen(value))}")
