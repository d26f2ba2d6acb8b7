"""Did it answer when it should have? The other half of the CAP trade-off: whoever gives up consistency does
it to be available, so a level that should be available and is not is reported.

Pure: who knows the faults says which operations should have been served.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from checkers.history import Op, Operation, pair
from checkers.verdict import Status, Verdict

ShouldServe = Callable[[Op, Op | None], tuple[str, ...]]
"""Of an invocation and its completion (None: it never completed): the groups that it belongs to, as words
("n3", "n3 from 8.4 s"), if it should have been served; none if it need not have been."""

SMALLEST_GROUP: Final = 5
GROUP_REQUIRED: Final = 0.5
"""Clients that wait in vain ask little, so a side that answers nobody hardly shows in the whole (coordinated
omission). So each group of at least `SMALLEST_GROUP` operations is also held to this fraction by itself."""

MISSED_MAX: Final = 10


def answered(completion: Op) -> bool:
    """It succeeded, or the store looked and said no."""
    return completion.type == "ok" or (completion.type == "fail" and completion.error == "mismatch")


class Availability:
    """A `Checker`: invalid if less than the fraction `required` of what should have been served was, or less
    than `GROUP_REQUIRED` in one place and time. Valid, and says so, if nothing should have been served.

    `details`: `expected`, `served`, `fraction` (None if nothing was expected), `required`, `worst_group` with
    its `expected` and `served` (None if no group is large enough), and the first of the `missed`, as
    [{invoke, completion}].
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
        groups: dict[str, list[Operation]] = {}
        expected = 0
        missed: list[Operation] = []
        for each in pair(history):
            names = self._should_serve(each.invoke, each.completion)
            for name in names:
                groups.setdefault(name, []).append(each)
            expected += bool(names)
            if names and not self._was_served(each):
                missed.append(each)
        served = expected - len(missed)
        worst, worst_missed = self._worst(groups)
        details: dict[str, Any] = {
            "expected": expected,
            "served": served,
            "fraction": served / expected if expected else None,
            "required": self._required,
            "worst_group": worst
            and {
                "group": worst,
                "expected": len(groups[worst]),
                "served": len(groups[worst]) - len(worst_missed),
            },
            "missed": [_shown(each) for each in missed[:MISSED_MAX]],
        }
        if not expected:
            return Verdict(self.name, Status.VALID, "not judged: no operation had to be served", details)
        summary = f"served {served:,} of the {expected:,} operations that should have been"
        if served / expected < self._required:
            summary += f" ({served / expected:.1%}, less than {self._required:.1%}); {_first(missed[0])}"
        elif worst and len(worst_missed) > (1 - GROUP_REQUIRED) * len(groups[worst]):
            of = len(groups[worst])
            summary += f", but only {of - len(worst_missed)} of {of} at {worst}; {_first(worst_missed[0])}"
        else:
            return Verdict(self.name, Status.VALID, summary, details)
        return Verdict(self.name, Status.INVALID, summary, details)

    def _worst(self, groups: dict[str, list[Operation]]) -> tuple[str | None, list[Operation]]:
        """The group, of those that are large enough, of which the least was served; and what was missed."""
        large = {group: asked for group, asked in groups.items() if len(asked) >= SMALLEST_GROUP}
        missed = {
            group: [each for each in asked if not self._was_served(each)] for group, asked in large.items()
        }
        worst = max(missed, key=lambda group: len(missed[group]) / len(large[group]), default=None)
        return worst, [] if worst is None else missed[worst]

    def _was_served(self, operation: Operation) -> bool:
        return operation.completion is not None and self._served(operation.completion)


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
