"""Of linearizable > sequential > causal > session guarantees > eventual: the strongest that a history
satisfies, and what breaks the next one.

Each rung is a checker of its own, asked from the top; the first that holds makes those below it hold, too,
but for the last: that copies become equal in the end is not about what clients see before, and is judged by
itself, from `copies`. A rung that is not decided is not claimed. Causal is causal convergence (CCv): of the
kinds of causal consistency it is the one that implies the session guarantees, which are about one order of
writes for all.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from checkers.accesses import CAS, WRITES
from checkers.causal import Causal
from checkers.convergence import COPIES, Convergence
from checkers.history import NEMESIS, Op
from checkers.linear import Linearizable
from checkers.models import CasRegister, Kv, Model, Value
from checkers.sequential import Sequential
from checkers.sessions import Sessions
from checkers.verdict import Status, Verdict

EVENTUAL: Final = "eventual"
RUNGS: Final = ("linearizable", "sequential", "causal", "sessions", EVENTUAL)


class Ladder:
    """A `Checker`; its parts are the rungs. `at_least`: the rung that is promised, with which it is judged;
    with none it measures: valid if the strongest level is known, even if that is the lowest; invalid if
    none holds; unknown if an undecided one could be stronger than the strongest that is known to hold.

    `seconds` bounds the search for a linearization, `steps` that for a sequential order.

    `details`: `strongest` (None: none is known to hold), `rungs` {name: status}, `broken` {rung: {anomaly,
    key, explanation, operations, by}}, where `by` is the index of the operation that cannot be explained,
    and `next_up`, the lowest broken rung above the strongest.
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
        details = {
            "strongest": strongest,
            "rungs": {rung: parts[rung].status.value for rung in RUNGS},
            "broken": broken,
            "next_up": next_up,
        }
        text = f"the strongest level that holds is {strongest}" if strongest else "no level is known to hold"
        if doubtful:
            text += f" (not decided: {', '.join(doubtful)})"
        if next_up is not None:
            text += f"; what breaks {next_up}: {broken[next_up]['anomaly']}: {parts[next_up].summary}"
        return Verdict(
            self.name, self._status(parts, strongest, doubtful), text, details, tuple(parts.values())
        )

    def _status(self, parts: dict[str, Verdict], strongest: str | None, doubtful: list[str]) -> Status:
        if self._at_least is not None:
            return parts[self._at_least].status
        if doubtful:
            return Status.UNKNOWN
        if strongest is not None:
            return Status.VALID
        return Status.INVALID

    def _rungs(self, history: list[Op]) -> dict[str, Verdict]:
        asked: dict[str, Callable[[], Verdict]] = {
            "linearizable": lambda: self._linearizable(history),
            "sequential": lambda: Sequential(self._initial, self._steps, known_not_linearizable=True).check(
                history
            ),
            "causal": lambda: Causal("ccv", self._initial).check(history),
            "sessions": lambda: Sessions(self._initial).check(history),
        }
        found: dict[str, Verdict] = {}
        holds = ""
        for rung, ask in asked.items():
            if holds:
                found[rung] = Verdict(rung, Status.VALID, f"as it is {holds}")
                continue
            found[rung] = ask()
            if found[rung].status is Status.VALID:
                holds = rung
        found[EVENTUAL] = _eventual(history)
        return found

    def _linearizable(self, history: list[Op]) -> Verdict:
        events = [op for op in history if op.f != COPIES]
        fs = {op.f for op in events if op.process != NEMESIS}
        models: list[Model] = [CasRegister(self._initial), Kv(self._initial)]
        model = next((model for model in models if fs <= model.operations), None)
        if model is None:
            mixed = ", ".join(sorted(fs))
            return Verdict("linearizable", Status.UNKNOWN, f"no model has all of the operations {mixed}")
        return Linearizable(model, failed_cas="mismatch", seconds=self._seconds).check(events)


def _eventual(history: list[Op]) -> Verdict:
    known = (COPIES, *WRITES, CAS)
    verdict = Convergence(keeps_acknowledged=False).check([_as_write(op) for op in history if op.f in known])
    if verdict.status is Status.VACUOUS:
        return Verdict(EVENTUAL, Status.VACUOUS, "not judged: nobody has looked at all copies of any key")
    return Verdict(EVENTUAL, verdict.status, verdict.summary, verdict.details)


def _as_write(op: Op) -> Op:
    """What the checker of convergence knows: what an operation leaves."""
    if op.f == CAS and isinstance(op.value, (list, tuple)):
        return replace(op, f="write", value=op.value[1])
    return op if op.f == COPIES else replace(op, f="write", value=None if op.f == "delete" else op.value)


def _broken(verdict: Verdict) -> dict[str, Any]:
    """What a broken rung tells, wherever in its parts it stands."""
    leaf = next((part for part in (verdict, *verdict.parts) if part.details.get("operations")), verdict)
    told = leaf.details
    operations: list[dict[str, Any]] = told.get("operations", [])
    last = max(operations, key=_ended, default={})
    return {
        "anomaly": told.get("anomaly", f"not {verdict.checker}"),
        "key": told.get("key"),
        "explanation": told.get("explanation", [verdict.summary]),
        "operations": operations,
        "by": last.get("index", last.get("start")),
    }


def _ended(operation: dict[str, Any]) -> int:
    end: int | None = operation["end"]
    return int(operation["start"]) if end is None else end
