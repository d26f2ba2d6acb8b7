"""Several checkers, one verdict. A checker that crashes has not judged, so its verdict is "unknown"."""

from __future__ import annotations

from collections.abc import Iterable

from checkers.history import Op
from checkers.verdict import Checker, Status, Verdict, worst


def check_all(checkers: Iterable[Checker], history: list[Op], name: str = "all") -> Verdict:
    """Every checker's verdict in `parts`, in their order, and the worst of them as a whole."""
    parts = tuple(_guarded(checker, history) for checker in checkers)
    status = worst(part.status for part in parts)
    telling = [f"{part.checker}: {part.summary}" for part in parts if part.status is status]
    return Verdict(name, status, "; ".join(telling) if telling else "nothing was checked", {}, parts)


def _guarded(checker: Checker, history: list[Op]) -> Verdict:
    try:
        return checker.check(history)
    except Exception as error:
        what = f"the checker failed: {type(error).__name__}: {error}"
        return Verdict(checker.name, Status.UNKNOWN, what, {"exception": type(error).__name__})
