"""Did it answer when it should have? The other half of the CAP trade-off: whoever gives up consistency does
it to be available, so a level that should be available and is not is reported.

Pure: who knows the faults says which operations should have been served.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from checkers.history import Op, Operation, pair
from checkers.verdict import Status, Verdict

ShouldServe = Callable[[Op, Op | None], bool]
"""Of an invocation and its completion (None: it never completed)."""

MISSED_MAX: Final = 10


def answered(completion: Op) -> bool:
    """It succeeded, or the store looked and said no."""
    return completion.type == "ok" or (completion.type == "fail" and completion.error == "mismatch")


class Availability:
    """A `Checker`: invalid if less than the fraction `required` of what should have been served was. Valid,
    and says so, if there was nothing that should have been.

    `details`: `expected`, `served`, `fraction` (None if nothing was expected), `required`, and the first
    of the `missed`, as [{invoke, completion}].
    """

    name = "availability"

    def __init__(
        self, should_serve: ShouldServe, served: Callable[[Op], bool] = answered, required: float = 0.95
    ) -> None:
        if not 0.0 <= required <= 1.0:
            raise ValueError(f"the required fraction is between 0 and 1, not {required}")
        self._should_serve = should_serve
        self._served = served
        self._required = required

    def check(self, history: list[Op]) -> Verdict:
        expected = [each for each in pair(history) if self._should_serve(each.invoke, each.completion)]
        missed = [each for each in expected if each.completion is None or not self._served(each.completion)]
        served = len(expected) - len(missed)
        details: dict[str, Any] = {
            "expected": len(expected),
            "served": served,
            "fraction": served / len(expected) if expected else None,
            "required": self._required,
            "missed": [_shown(each) for each in missed[:MISSED_MAX]],
        }
        if not expected:
            return Verdict(self.name, Status.VALID, "not judged: no operation had to be served", details)
        status = Status.VALID if served >= self._required * len(expected) else Status.INVALID
        summary = f"served {served:,} of the {len(expected):,} operations that should have been"
        if status is Status.INVALID:
            summary += f" ({served / len(expected):.1%}, less than {self._required:.1%}); {_first(missed[0])}"
        return Verdict(self.name, status, summary, details)


def _shown(operation: Operation) -> dict[str, Any]:
    return {"invoke": _fields(operation.invoke), "completion": _fields(operation.completion)}


def _fields(op: Op | None) -> dict[str, Any] | None:
    return None if op is None else {name: getattr(op, name) for name in op.__struct_fields__}


def _first(operation: Operation) -> str:
    invoke, completion = operation.invoke, operation.completion
    what = invoke.f if invoke.key is None else f"{invoke.f} of key {invoke.key}"
    when = f" at {invoke.time / 1e9:.3f} s" if invoke.time >= 0 else ""
    outcome = "never completed"
    if completion is not None:
        outcome = f"ended as {completion.type}" + (
            "" if completion.error is None else f" ({completion.error})"
        )
    return f"first process {invoke.process}'s {what}{when}, which {outcome}"
