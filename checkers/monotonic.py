"""A counter that only grows: does anybody ever see it go back?

By session (monotonic reads, Terry et al. 1994), and across sessions: what somebody has seen, everybody sees
who looks later, in the order of events.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from checkers.accesses import counterexample, told
from checkers.history import HistoryError, Op, Operation, pair
from checkers.models import frozen, show
from checkers.verdict import Status, Verdict

SHOWN: Final = 5


class Back(NamedTuple):
    """`later` began after `earlier` had ended, and found less."""

    earlier: Operation
    later: Operation

    @property
    def by(self) -> int:
        return _seen(self.earlier) - _found(self.later)


class Monotonic:
    """A `Checker`. Observations, by key: a `read`, and an `increment` that is answered with the number after
    it, and so found that much less (1 if it does not say how much); all else is passed over. HistoryError for
    an answer that is not a whole number.

    Invalid: what an observation found is less than the greatest that those saw which had ended before it
    began. Vacuous: nobody made two of one key.

    `details`: `observations`, `back` (how many are too low), `back_in_session` (how many of them below what
    their own process had seen), `worst` ([{by, earlier, later}]) and the `operations` of the counterexample.
    """

    name = "monotonic"

    def check(self, history: list[Op]) -> Verdict:
        by_key: dict[str | None, list[Operation]] = {}
        for operation in pair(history):
            if operation.outcome == "ok" and _observes(operation):
                by_key.setdefault(operation.invoke.key, []).append(operation)
        back = [found for operations in by_key.values() for found in _back(operations)]
        own = [found for operations in by_key.values() for found in _back_in_session(operations)]
        worst = sorted(back, key=lambda found: -found.by)[:SHOWN]
        details: dict[str, Any] = {
            "observations": sum(map(len, by_key.values())),
            "back": len(back),
            "back_in_session": len(own),
            "worst": [
                {"by": found.by, "earlier": told(found.earlier), "later": told(found.later)}
                for found in worst
            ],
        }
        if back:
            details["operations"] = counterexample([each for found in worst for each in found])
            first = own[0] if own else back[0]
            text = (
                f"{len(back):,} observations went back, {len(own):,} of them below what their own process "
                f"had seen: process {first.later.invoke.process} found {_found(first.later):,} after process "
                f"{first.earlier.invoke.process} had seen {_seen(first.earlier):,}"
            )
            return Verdict(self.name, Status.INVALID, text, details)
        if all(len(operations) < 2 for operations in by_key.values()):
            return Verdict(self.name, Status.VACUOUS, "nobody looked twice at any counter", details)
        text = f"none of {details['observations']:,} observations went back"
        return Verdict(self.name, Status.VALID, text, details)


def _observes(operation: Operation) -> bool:
    f, done = operation.invoke.f, operation.completion
    if done is None or f not in ("read", "increment") or (f == "increment" and done.value is None):
        return False
    if not isinstance(done.value, int) or isinstance(done.value, bool):
        raise HistoryError(
            f"event {operation.end}: a counter's value is a whole number, not {show(frozen(done.value))}"
        )
    return True


def _seen(operation: Operation) -> int:
    assert operation.completion is not None
    value = operation.completion.value
    assert isinstance(value, int)
    return value


def _found(operation: Operation) -> int:
    """What was there before it: an increment saw its own."""
    if operation.invoke.f != "increment":
        return _seen(operation)
    asked = operation.invoke.value
    return _seen(operation) - (asked if isinstance(asked, int) and asked > 0 else 1)


def _back(operations: list[Operation]) -> list[Back]:
    """Of one key, by invocation."""
    ended = sorted(operations, key=lambda operation: operation.end or 0)
    at = 0
    highest: Operation | None = None
    found = []
    for operation in operations:
        while (ended[at].end or 0) < operation.start:
            if highest is None or _seen(ended[at]) > _seen(highest):
                highest = ended[at]
            at += 1
        if highest is not None and _found(operation) < _seen(highest):
            found.append(Back(highest, operation))
    return found


def _back_in_session(operations: list[Operation]) -> list[Back]:
    highest: dict[int | str, Operation] = {}
    found = []
    for operation in operations:
        process = operation.invoke.process
        best = highest.get(process)
        if best is not None and _found(operation) < _seen(best):
            found.append(Back(best, operation))
        if best is None or _seen(operation) > _seen(best):
            highest[process] = operation
    return found
