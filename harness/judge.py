"""From a plan and a history to a verdict; the same for a run that just ended and for one read back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from checkers.availability import Availability
from checkers.compose import check_all
from checkers.history import Op
from checkers.recovery import Recovery
from checkers.stats import Stats
from checkers.verdict import Checker, Verdict
from harness import ledger
from harness.client import Codec
from harness.ledger import Entry, Requested
from harness.plan import STORE, Plan
from harness.recovery import coordinator, healings
from harness.stillness import Span
from harness.weather import should_serve
from store.core.ownership.layout import Placement, first_layout


class Judgement(NamedTuple):
    verdict: Verdict
    entries: list[Entry]


def judge(
    plan: Plan,
    checkers: Sequence[Checker],
    codec: Codec,
    requested: Sequence[Requested],
    history: list[Op],
    watched: Callable[[Sequence[Checker]], list[Checker]] = list,
    stood_still: Sequence[Span] = (),
) -> Judgement:
    """The workload's own checkers first, then how much was served and how soon again, what happened at all,
    and the faults. `watched`: gives checkers that judge the same, and are looked at meanwhile; `stood_still`:
    when the harness did."""
    entries = ledger.ledger(history, requested)
    faults = _Ledger(ledger.judge(entries, requested))
    recovery = Recovery(healings(entries), coordinator(plan))
    knows = plan.system == STORE  # what it owes; of others nobody here does
    owed = [_Availability(plan, codec, stood_still)] if knows else []
    all_of_them = [*checkers, *owed, recovery, Stats(), faults]
    return Judgement(check_all(watched(all_of_them), history, "run"), entries)


class _Availability:
    """Reads the weather when it is asked to check: that of a history that makes no sense may fail, too."""

    name = Availability.name

    def __init__(self, plan: Plan, codec: Codec, stood_still: Sequence[Span]) -> None:
        self._plan = plan
        self._codec = codec
        self._stood_still = stood_still

    def check(self, history: list[Op]) -> Verdict:
        plan = self._plan
        place = Placement(first_layout(plan.nodes, plan.replication))
        expected = should_serve(history, plan.nodes, plan.concurrency, place, self._codec, self._stood_still)
        return Availability(expected).check(history)


class _Ledger:
    """The ledger's verdict, as a checker among the others."""

    def __init__(self, verdict: Verdict) -> None:
        self.name = verdict.checker
        self._verdict = verdict

    def check(self, history: list[Op]) -> Verdict:
        return self._verdict
