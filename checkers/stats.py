"""What happened at all: operations by kind and outcome, errors, latencies. A kind of operation that never
succeeded makes a run vacuous: nothing was learnt of it. Where a client could not make sense of what it was
told, something was spoilt, whatever else holds.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import ceil
from typing import Any, Final

from checkers.history import NEMESIS, Op, Operation, pair
from checkers.verdict import Status, Verdict

GARBLED: Final = "garbled: "
"""How the error of an operation begins that was answered with what nobody can have written."""


class Stats:
    """A `Checker`: invalid if an answer was garbled; vacuous if there is no operation, or none of some kind
    succeeded; else valid.

    `details`: `garbled`, how many answers; `operations` {f: {ok, fail, info}}; `errors` {f: {error: count}};
    `latencies_ms` {f: {p50, p95, p99, max}} of what succeeded and has times; `nemesis` {f: events}.
    """

    name = "stats"

    def check(self, history: list[Op]) -> Verdict:
        kinds: dict[str, list[Operation]] = defaultdict(list)
        for operation in pair(history):
            kinds[operation.invoke.f].append(operation)
        counts = {f: dict(_outcomes(operations)) for f, operations in sorted(kinds.items())}
        details = {
            "operations": counts,
            "errors": {f: found for f, ops in sorted(kinds.items()) if (found := _errors(ops))},
            "latencies_ms": {f: found for f, ops in sorted(kinds.items()) if (found := _latencies(ops))},
            "nemesis": dict(sorted(Counter(op.f for op in history if op.process == NEMESIS).items())),
        }
        garbled = [op for op in history if op.error is not None and str(op.error).startswith(GARBLED)]
        details["garbled"] = len(garbled)
        if garbled:
            first = str(garbled[0].error).removeprefix(GARBLED)
            were = "operation was" if len(garbled) == 1 else "operations were"
            text = f"{len(garbled):,} {were} answered with what nobody wrote, first {first}"
            return Verdict(self.name, Status.INVALID, text, details)
        if not counts:
            return Verdict(self.name, Status.VACUOUS, "no operation was invoked", details)
        barren = [f for f, outcomes in counts.items() if not outcomes["ok"]]
        if barren:
            never = " and ".join(f"none of {sum(counts[f].values()):,} {f}" for f in barren)
            return Verdict(self.name, Status.VACUOUS, f"{never} succeeded", details)
        totals = {
            outcome: sum(each[outcome] for each in counts.values()) for outcome in ("ok", "fail", "info")
        }
        summary = f"{sum(totals.values()):,} operations: " + ", ".join(
            f"{count:,} {outcome}" for outcome, count in totals.items()
        )
        return Verdict(self.name, Status.VALID, summary, details)


def quantile(ordered: Sequence[float], fraction: float) -> float:
    """The nearest-rank quantile of a sorted, non-empty sequence: the smallest value that at least
    `fraction` of them do not exceed."""
    return ordered[max(0, ceil(fraction * len(ordered)) - 1)]


def _outcomes(operations: Iterable[Operation]) -> dict[str, int]:
    counts = Counter(operation.outcome for operation in operations)
    return {"ok": counts["ok"], "fail": counts["fail"], "info": counts["info"]}


def _errors(operations: Iterable[Operation]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for operation in operations:
        if operation.completion is None:
            found["never completed"] += 1
        elif operation.completion.error is not None:
            found[str(operation.completion.error)] += 1
    return dict(found.most_common())


def _latencies(operations: Iterable[Operation]) -> dict[str, Any]:
    ordered = sorted(
        (operation.completion.time - operation.invoke.time) / 1e6
        for operation in operations
        if operation.completion is not None
        and operation.outcome == "ok"
        and min(operation.completion.time, operation.invoke.time) >= 0
    )
    if not ordered:
        return {}
    quantiles = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
    return {name: round(quantile(ordered, fraction), 3) for name, fraction in quantiles.items()}
