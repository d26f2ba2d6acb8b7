"""Did all copies become equal once nothing was wrong any more, and is what was acknowledged among them?

For stores that promise to converge (Vogels 2009, "Eventually Consistent"). The history ends with rounds of
operations `copies`, each of which tells what every replica of a key holds: a dict from node to value (None:
absent, or deleted). Of each key the last answered one counts. Real-time order says which of two writes came
later; a key's converged value must come from a write that no acknowledged one followed. Whether a store
promises that much depends on its level: last-write-wins with skewed clocks does not, and then what was lost
is told, not convicted.

Left out on purpose: which of two concurrent writes should have stayed, and what copies held before the last
look at them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

from checkers.accesses import counterexample
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import frozen, show
from checkers.verdict import Status, Verdict

COPIES: Final = "copies"
CHANGES: Final = ("write", "put", "delete", "cas")
SHOWN: Final = 5


class Change(NamedTuple):
    """`value`: what it leaves (None: nothing)."""

    operation: Operation
    value: Any


class Found(NamedTuple):
    """What is wrong: `divergent` and `unseen` keys, acknowledged changes that are `lost`, and `phantoms`; and
    of each of these the operations that show it."""

    divergent: list[str]
    unseen: list[str]
    lost: list[dict[str, Any]]
    phantoms: list[dict[str, Any]]
    shown_by: dict[str, list[list[Operation]]]


class Convergence:
    """A `Checker`. Operations, by key: `write` or `put` (of a value that is unique for its key; None deletes
    it), `delete`, `cas` ([expected, new]), and `copies`; others are passed over. `keeps_acknowledged`: the
    store promises that what was acknowledged is not lost to something older.

    Invalid: copies differ in the last look, hold what nobody can have written by then, or (if that is
    promised) an acknowledged change is lost. Unknown: a key was not seen after its last acknowledged change,
    or it differed when it was last seen, and later looks failed. Vacuous: nobody has looked, or no change was
    acknowledged.

    `details`: `rounds` of (seconds, keys whose copies differ), `converged_s` from the start of the run (None:
    never; 0: the history has no times), `lost` acknowledged changes of keys whose copies are equal ([{key,
    holds, value, index}]; one of the value None was a deletion), `phantoms`: values that nobody can have
    written; if invalid, `operations`: of the first wrong keys what left what their copies hold, what is lost,
    and the look.
    """

    name = "convergence"

    def __init__(self, keeps_acknowledged: bool = True) -> None:
        self._keeps_acknowledged = keeps_acknowledged

    def check(self, history: list[Op]) -> Verdict:
        changes, looks = _by_key(history)
        rounds = rounds_of([look for each in looks.values() for look in each if look.outcome == "ok"])
        if not rounds:
            return Verdict(self.name, Status.VACUOUS, "nobody has looked at all copies of any key")
        found = Found([], [], [], [], defaultdict(list))
        for key in sorted({*changes, *looks}, key=_name):
            _judge(key, changes[key], looks[key], found)
        unsettled = found.divergent or found.unseen
        details = {
            "rounds": rounds,
            "converged_s": None if unsettled else converged_at_s(rounds),
            "lost": found.lost,
            "phantoms": found.phantoms,
        }
        acknowledged = sum(change.operation.outcome == "ok" for each in changes.values() for change in each)
        keys = sum(any(look.outcome == "ok" for look in each) for each in looks.values())
        return self._verdict(found, acknowledged, keys, details)

    def _verdict(self, found: Found, acknowledged: int, keys: int, details: dict[str, Any]) -> Verdict:
        wrong = []
        if found.divergent:
            wrong.append(f"the copies of {some_names(found.divergent)} still differ")
        if found.phantoms:
            wrong.append(f"{some_names(_names(found.phantoms))} hold what nobody wrote")
        lost = _lost(found.lost)
        if lost and self._keeps_acknowledged:
            wrong.append(f"{lost} ({some_names(_names(found.lost))})")
        if wrong:
            kinds = ("divergent", "phantoms", *(["lost"] if self._keeps_acknowledged else []))
            shown_by = [each for kind in kinds for each in found.shown_by[kind][:SHOWN]]
            details |= {"operations": counterexample(chain.from_iterable(shown_by))}
            return Verdict(self.name, Status.INVALID, "; ".join(wrong), details)
        if found.unseen:
            text = f"the copies of {some_names(found.unseen)} could not all be seen at the end"
            return Verdict(self.name, Status.UNKNOWN, text, details)
        if not acknowledged:
            return Verdict(self.name, Status.VACUOUS, "no change was acknowledged", details)
        at_s = details["converged_s"]
        text = f"all copies of {keys:,} keys are equal" + (f", {at_s:.1f} s after the start" if at_s else "")
        return Verdict(
            self.name, Status.VALID, text + (f"; {lost}, which this level allows" if lost else ""), details
        )


def _by_key(
    history: Iterable[Op],
) -> tuple[dict[str | None, list[Change]], dict[str | None, list[Operation]]]:
    """Changes and looks. HistoryError if the history is none, or a value is not one."""
    changes: dict[str | None, list[Change]] = defaultdict(list)
    looks: dict[str | None, list[Operation]] = defaultdict(list)
    for operation in pair(history):
        if operation.invoke.f == COPIES:
            looks[operation.invoke.key].append(operation)
        elif operation.invoke.f in CHANGES:
            changes[operation.invoke.key].append(Change(operation, _left_by(operation)))
    return changes, looks


def _left_by(operation: Operation) -> Any:
    f, value = operation.invoke.f, operation.invoke.value
    if f == "delete":
        return None
    if f != "cas":
        return value
    if not isinstance(value, (list, tuple)) or len(value) != 2:
        shown = show(frozen(value))
        raise HistoryError(f"event {operation.start}: the value of a cas is [expected, new], not {shown}")
    return value[1]


def _judge(key: str | None, changes: Sequence[Change], looks: Sequence[Operation], found: Found) -> None:
    over = max([each.operation.end or 0 for each in changes if each.operation.outcome == "ok"], default=-1)
    last = next((look for look in reversed(looks) if look.outcome == "ok"), None)
    if last is None:
        found.unseen.extend([_name(key)] * (over >= 0))
        return
    copies, end = copies_of(last), last.end or 0
    begun = [each for each in changes if each.operation.outcome != "fail" and each.operation.start < end]
    phantoms = [
        value
        for value in _distinct(copies)
        if value is not None and not any(each.value == value for each in begun)
    ]
    found.phantoms.extend({"key": key, "value": value} for value in phantoms)
    held = [each.operation for each in begun if each.value in copies.values()]
    if phantoms:
        found.shown_by["phantoms"].append([last])
    if last.start < over or (not equal(copies) and last is not looks[-1]):
        found.unseen.append(_name(key))
    elif not equal(copies):
        found.divergent.append(_name(key))
        found.shown_by["divergent"].append([*held[-SHOWN:], last])
    elif not phantoms:
        holds = next(iter(copies.values()))
        lost = _lost_to(holds, begun)
        found.lost.extend({"key": key, "holds": holds, **_told(each)} for each in lost)
        if lost:
            accused = [each.operation for each in lost[-SHOWN:]]
            found.shown_by["lost"].append([*held[-SHOWN:], *accused, last])


def copies_of(look: Operation) -> dict[str, Any]:
    """What an answered look tells, by node; HistoryError if it tells of none."""
    value = None if look.completion is None else look.completion.value
    if not isinstance(value, dict) or not value:
        shown = show(frozen(value))
        raise HistoryError(
            f"event {look.end}: a look at copies is answered with {{node: value}}, not {shown}"
        )
    return value


def equal(copies: Any) -> bool:
    """Whether all of {node: value} are one value."""
    return len(_distinct(copies)) <= 1


def _distinct(copies: Any) -> list[Any]:
    found: list[Any] = []
    for value in copies.values():
        if value not in found:
            found.append(value)
    return found


def rounds_of(looks: Iterable[Operation]) -> list[list[Any]]:
    """By round (a key that comes again begins the next): when it ended, and which keys' copies differed.
    HistoryError if a look is not answered with copies."""
    rounds: list[list[Any]] = []
    keys: set[str | None] = set()
    for look in sorted(looks, key=lambda look: look.start):
        key = look.invoke.key
        if key in keys or not rounds:
            keys = set()
            rounds.append([0.0, []])
        keys.add(key)
        assert look.completion is not None
        rounds[-1][0] = max(rounds[-1][0], look.completion.time / 1e9)
        if not equal(copies_of(look)):
            rounds[-1][1].append(_name(key))
    return rounds


def converged_at_s(rounds: list[list[Any]]) -> float | None:
    """The end of the first of the rounds after which none shows a difference."""
    at: float | None = None
    for end, divergent in reversed(rounds):
        if divergent:
            break
        at = end
    return at


def _lost_to(value: Any, changes: Sequence[Change]) -> list[Change]:
    """The acknowledged changes that began after everything that may have left `value` was over."""
    causes = [each.operation for each in changes if each.value == value]
    if any(cause.outcome == "info" for cause in causes):
        return []  # it may have happened at any later time
    latest = max([cause.end or 0 for cause in causes], default=-1)
    return [each for each in changes if each.operation.outcome == "ok" and each.operation.start > latest]


def _told(change: Change) -> dict[str, Any]:
    return {"value": change.value, "index": change.operation.invoke.index}


def _lost(lost: Sequence[dict[str, Any]]) -> str:
    if not lost:
        return ""
    back = sum(each["value"] is None for each in lost)
    text = f"{len(lost):,} acknowledged changes are lost to older ones"
    return text + (f", {back:,} of them deletions: what was deleted is back" if back else "")


def _name(key: str | None) -> str:
    return "the only key" if key is None else key


def _names(found: Iterable[dict[str, Any]]) -> list[str]:
    return sorted({_name(each["key"]) for each in found})


def some_names(keys: Sequence[str]) -> str:
    """A few keys, in words."""
    shown = ", ".join(keys[:SHOWN])
    return shown if len(keys) <= SHOWN else f"{shown} and {len(keys) - SHOWN:,} more"
