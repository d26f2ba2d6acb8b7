"""Of linearizable > sequential > causal > session guarantees > eventual: the strongest that a history
satisfies, and what breaks the next one.

Each rung is a checker of its own, asked from the top; the first that holds makes those below it hold, too,
but for the last: that copies become equal in the end is not about what clients see before, and is judged by
itself, from `copies`. A rung that is not decided is not claimed. Causal is causal convergence (CCv): of the
kinds of causal consistency it is the one that implies the session guarantees, which are about one order of
writes for all.

Every rung but the last can only be broken by more of a history, never mended. So the first operation that
breaks one is found by bisection over the beginnings of the history, the short ones first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any, Final

from checkers.accesses import CAS, READS, in_words, told
from checkers.causal import Causal
from checkers.causal.order import OrderOf, causal_order
from checkers.convergence import Convergence
from checkers.history import NEMESIS, Op, pair
from checkers.linear import Linearizable
from checkers.models import Value
from checkers.readings import Readings
from checkers.registers import as_register, without_versions
from checkers.sequential import Sequential
from checkers.sessions import Sessions
from checkers.verdict import Status, Verdict

BEGINNING: Final = 1_000
"""The first beginning that is looked at has at most so many events."""
EVENTUAL: Final = "eventual"
RUNGS: Final = ("linearizable", "sequential", "causal", "sessions", EVENTUAL)


@dataclass
class Asked:
    """A history, and how it is read, which several rungs ask for."""

    history: list[Op]
    initial: Value
    refuted: bool = False
    """It is known not to be linearizable, whatever a refused cas says of the value."""

    @cached_property
    def refused_cas(self) -> bool:
        return any(op.type == "fail" and op.f == CAS for op in self.history)

    @cached_property
    def readings(self) -> Readings:
        return Readings(self.history, self.initial, refuted=self.refuted)

    @cached_property
    def order_of(self) -> OrderOf:
        """Makes that of each reading once: it is most of the work, for two rungs."""
        return cache(causal_order)


class Ladder:
    """A `Checker`; its parts are the rungs. `at_least`: the rung that is promised, with which it is judged;
    with none it measures: valid if the strongest level is known, even if that is the lowest; invalid if
    none holds; unknown if an undecided one could be stronger than the strongest that is known to hold;
    vacuous if nobody has read anything, nor was refused a cas, nor looked at copies.

    `seconds` bounds the search for a linearization, `steps` that for a sequential order.

    `details`: `strongest` (None: none is known to hold), `rungs` {name: status}, `broken` {rung: {anomaly,
    key, explanation, operations}}, `next_up`, the lowest broken rung above the strongest, and `first`, the
    operation with whose answer the history first broke it, as a counterexample tells it, with `event`, the
    position of that answer, and `exact` (False: an earlier one may have, the budget was used up).
    """

    name = "ladder"

    def __init__(
        self,
        at_least: str | None = None,
        initial: Value = None,
        seconds: float | None = 60.0,
        steps: int = 300_000,
    ) -> None:
        if at_least is not None and at_least not in RUNGS:
            raise ValueError(f"at_least is one of {', '.join(RUNGS)}, not {at_least!r}")
        self._at_least = at_least
        self._initial = initial
        self._seconds = seconds
        self._steps = steps

    def check(self, history: list[Op]) -> Verdict:
        parts = self._rungs(history)
        held = [rung for rung in RUNGS if parts[rung].status is Status.VALID]
        strongest = held[0] if held else None
        above = RUNGS[: RUNGS.index(strongest)] if strongest else RUNGS
        broken = {rung: _broken(parts[rung]) for rung in RUNGS if parts[rung].status is Status.INVALID}
        next_up = next((rung for rung in reversed(above) if rung in broken), None)
        doubtful = [rung for rung in above if parts[rung].status is Status.UNKNOWN]
        first = None if next_up in (None, EVENTUAL) else self._first(next_up, parts[next_up], history)
        details = {
            "strongest": strongest,
            "rungs": {rung: parts[rung].status.value for rung in RUNGS},
            "broken": broken,
            "next_up": next_up,
            "first": first,
        }
        status = self._status(parts, strongest, doubtful)
        text = _in_words(details, parts, doubtful)
        return Verdict(self.name, status, text, details, tuple(parts.values()))

    def _status(self, parts: dict[str, Verdict], strongest: str | None, doubtful: list[str]) -> Status:
        if self._at_least is not None:
            return parts[self._at_least].status
        if doubtful:
            return Status.UNKNOWN
        if strongest is not None:
            return Status.VALID
        vacuous = all(part.status is Status.VACUOUS for part in parts.values())
        return Status.VACUOUS if vacuous else Status.INVALID

    def _rungs(self, history: list[Op]) -> dict[str, Verdict]:
        found: dict[str, Verdict] = {}
        asked = Asked(history, self._initial)
        implied: Verdict | None = None
        for rung in RUNGS[:-1]:
            if implied is not None:
                text = f"as it is {implied.checker}" if implied.status is Status.VALID else implied.summary
                found[rung] = Verdict(rung, implied.status, text)
                continue
            found[rung] = self._judge(rung, asked)
            asked.refuted |= found[rung].status is Status.INVALID and not asked.refused_cas
            if found[rung].status in (Status.VALID, Status.VACUOUS):
                implied = found[rung]
        found[EVENTUAL] = _eventual(history)
        return found

    def _judge(self, rung: str, asked: Asked) -> Verdict:
        match rung:
            case "linearizable":
                return self._linearizable(asked.history)
            case "sequential":
                checker = Sequential(self._initial, self._steps, try_linearizable=asked.refused_cas)
                return checker.judge(asked.readings, asked.order_of)
            case "causal":
                return Causal("ccv", self._initial).judge(asked.readings, asked.order_of)
            case _:
                return Sessions(self._initial).judge(asked.readings)

    def _linearizable(self, history: list[Op]) -> Verdict:
        events, model = as_register(history, self._initial)
        if not any(op.process != NEMESIS and _tells(op) for op in events):
            return Verdict(RUNGS[0], Status.VACUOUS, "nobody has read anything")
        return Linearizable(model, failed_cas="mismatch", seconds=self._seconds).check(events)

    def _first(self, rung: str, verdict: Verdict, history: list[Op]) -> dict[str, Any] | None:
        end, exact = self._shortest(rung, verdict, history)
        operation = next((each for each in pair(history) if end - 1 in (each.start, each.end)), None)
        if operation is None:
            return None
        return {**told(operation), "event": end - 1, "exact": exact, "told": in_words(operation)}

    def _shortest(self, rung: str, verdict: Verdict, history: list[Op]) -> tuple[int, bool]:
        """How many events are the shortest beginning that breaks it, and whether that is certain. None is
        looked at that is much longer than one that holds: what is broken early is found in short ones."""
        low, high, exact = 0, len(history), True
        guess = _over(verdict, high)
        while high - low > 1:
            middle = guess if low < guess < high else (low + high) // 2
            middle = min(middle, max(BEGINNING, 4 * low))
            found = self._judge(rung, Asked(history[:middle], self._initial))
            if found.status is Status.INVALID:
                guess = _over(found, middle) if middle < high - 1 else -1  # not one by one
                high = middle
            else:
                exact &= found.status is not Status.UNKNOWN
                low = middle
        return high, exact


def _tells(op: Op) -> bool:
    """Somebody what the value is, or, if a cas is refused, what it is not."""
    is_refused = op.type == "fail" and op.error == "mismatch"
    return (op.type == "ok" and op.f in (*READS, CAS)) or (is_refused and op.f == CAS)


def _in_words(details: dict[str, Any], parts: dict[str, Verdict], doubtful: list[str]) -> str:
    strongest, next_up, first = details["strongest"], details["next_up"], details["first"]
    text = f"the strongest level that holds is {strongest}" if strongest else "no level is known to hold"
    if doubtful:
        text += f" (not decided: {', '.join(doubtful)})"
    if parts[RUNGS[0]].status is Status.VACUOUS:
        text += "; those above eventual are about reads, and nobody has read anything"
    if first is not None:
        text += f"; {next_up} is first broken when {first['told']}"
    if next_up is not None:
        anomaly, summary = details["broken"][next_up]["anomaly"], parts[next_up].summary
        text += f"; what breaks {next_up}: {'' if anomaly in summary else f'{anomaly}: '}{summary}"
    return text


def _eventual(history: list[Op]) -> Verdict:
    verdict = Convergence(keeps_acknowledged=False).check([without_versions(op) for op in history])
    if verdict.status is Status.VACUOUS:
        return Verdict(EVENTUAL, Status.VACUOUS, f"not judged: {verdict.summary}")
    return Verdict(EVENTUAL, verdict.status, verdict.summary, verdict.details)


def _broken(verdict: Verdict) -> dict[str, Any]:
    """What a broken rung tells, wherever in its parts it stands."""
    leaf = _leaf(verdict)
    return {
        "anomaly": leaf.details.get("anomaly", f"not {verdict.checker}"),
        "key": leaf.details.get("key"),
        "explanation": leaf.details.get("explanation", [verdict.summary]),
        "operations": leaf.details.get("operations", []),
    }


def _leaf(verdict: Verdict) -> Verdict:
    return next((part for part in (verdict, *verdict.parts) if part.details.get("operations")), verdict)


def _over(verdict: Verdict, events: int) -> int:
    """How many events it takes until the counterexample is over; all but one if nobody tells, or all."""
    operations = _leaf(verdict).details.get("operations", [])
    ends = [each["end"] if each["outcome"] == "ok" else each["start"] for each in operations]
    return min(1 + max(ends, default=events), events - 1)
