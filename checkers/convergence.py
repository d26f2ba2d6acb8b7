"""Did all copies become equal once nothing was wrong any more, and is what was acknowledged among them?

For stores that promise to converge (Vogels 2009, "Eventually Consistent"). The history ends with rounds of
operations `copies`, each of which tells what every replica of a key holds: a dict from node to value (None:
absent, or deleted). Real-time order says which of two writes came later; a key's converged value must come
from a write that no acknowledged one followed. Whether a store promises that much depends on its level:
last-write-wins with skewed clocks does not, and then what was lost is told, not convicted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from checkers.history import Op, Operation, pair
from checkers.verdict import Status, Verdict

COPIES: Final = "copies"
SHOWN: Final = 5


class Convergence:
    """Operations: `write` (a value that is unique for its key, or None: delete it) and `copies`.
    `keeps_acknowledged`: the store promises that what was acknowledged is not lost to something older.

    `details`: `rounds` of (seconds, keys whose copies differ), `converged_s` from the start of the run (None:
    never), `lost` acknowledged changes of keys whose copies are equal, `phantoms`: values that nobody can
    have written.
    """

    name = "convergence"

    def __init__(self, keeps_acknowledged: bool) -> None:
        self._keeps_acknowledged = keeps_acknowledged

    def check(self, history: list[Op]) -> Verdict:
        changes: dict[str, list[Operation]] = defaultdict(list)
        looks: list[Operation] = []
        for operation in pair(history):
            if operation.invoke.f == COPIES:
                looks.append(operation)
            elif operation.invoke.f == "write" and operation.invoke.key is not None:
                changes[operation.invoke.key].append(operation)
        seen = [look for look in looks if look.outcome == "ok"]
        if not seen:
            return Verdict(self.name, Status.VACUOUS, "nobody has looked at all copies of any key")
        final = {look.invoke.key or "": look.value for look in sorted(seen, key=lambda look: look.start)}
        unseen = sorted(set(changes) - set(final))
        rounds = rounds_of(seen)
        divergent = [key for key, copies in sorted(final.items()) if not equal(copies)]
        lost, phantoms = [], []
        for key, copies in sorted(final.items()):
            for value in _distinct(copies):
                if not _possible(value, changes[key]):
                    phantoms.append({"key": key, "value": value})
                elif equal(copies) and (gone := _lost_to(value, changes[key])):
                    lost += [{"key": key, "holds": value, **_told(operation)} for operation in gone]
        converged_s = None if divergent or unseen else converged_at_s(rounds)
        details = {"rounds": rounds, "converged_s": converged_s, "lost": lost, "phantoms": phantoms}
        return self._verdict(divergent, unseen, lost, phantoms, len(final), details)

    def _verdict(
        self,
        divergent: list[str],
        unseen: list[str],
        lost: list[dict[str, Any]],
        phantoms: list[dict[str, Any]],
        keys: int,
        details: dict[str, Any],
    ) -> Verdict:
        wrong = []
        if divergent:
            wrong.append(f"the copies of {_some(divergent)} still differ")
        if phantoms:
            wrong.append(f"{_some([found['key'] for found in phantoms])} hold what nobody wrote")
        told = f"{len(lost)} acknowledged changes are lost to older ones" if lost else ""
        if lost and self._keeps_acknowledged:
            wrong.append(f"{told} ({_some(sorted({found['key'] for found in lost}))})")
        if wrong:
            return Verdict(self.name, Status.INVALID, "; ".join(wrong), details)
        if unseen:
            text = f"the copies of {_some(unseen)} could not all be seen"
            return Verdict(self.name, Status.UNKNOWN, text, details)
        allowed = f"; {told}, which this level allows" if told else ""
        text = (
            f"all copies of {keys:,} keys are equal, {details['converged_s']:.1f} s after the start{allowed}"
        )
        return Verdict(self.name, Status.VALID, text, details)


def equal(copies: Any) -> bool:
    """Whether all of {node: value} are one value."""
    return len(_distinct(copies)) <= 1


def _distinct(copies: Any) -> list[Any]:
    found: list[Any] = []
    for value in copies.values():
        if value not in found:
            found.append(value)
    return found


def rounds_of(looks: Sequence[Operation]) -> list[list[Any]]:
    """By round (a key that comes again begins the next): when it ended, and which keys' copies differed."""
    rounds: list[list[Any]] = []
    keys: set[str] = set()
    for look in sorted(looks, key=lambda look: look.start):
        key = look.invoke.key or ""
        if key in keys or not rounds:
            keys = set()
            rounds.append([0.0, []])
        keys.add(key)
        assert look.completion is not None
        rounds[-1][0] = look.completion.time / 1e9
        if not equal(look.value):
            rounds[-1][1].append(key)
    return rounds


def converged_at_s(rounds: list[list[Any]]) -> float | None:
    """The end of the first of the rounds after which none shows a difference."""
    at: float | None = None
    for end, divergent in reversed(rounds):
        if divergent:
            break
        at = end
    return at


def _possible(value: Any, changes: list[Operation]) -> bool:
    """Whether a write of `value` may have happened; None may also come from no write at all."""
    return value is None or any(
        change.invoke.value == value and change.outcome != "fail" for change in changes
    )


def _lost_to(value: Any, changes: list[Operation]) -> list[Operation]:
    """The acknowledged changes that began after everything that may have left `value` was over."""
    causes = [change for change in changes if change.outcome != "fail" and change.invoke.value == value]
    if any(cause.outcome == "info" for cause in causes):
        return []  # it may have happened at any later time
    latest = max((cause.end or 0 for cause in causes), default=-1)
    return [change for change in changes if change.outcome == "ok" and change.start > latest]


def _told(change: Operation) -> dict[str, Any]:
    return {"value": change.invoke.value, "index": change.invoke.index}


def _some(keys: Sequence[str]) -> str:
    shown = ", ".join(keys[:SHOWN])
    return shown if len(keys) <= SHOWN else f"{shown} and {len(keys) - SHOWN} more"
