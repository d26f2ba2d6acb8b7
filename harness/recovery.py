"""From the ledger to the moments at which nothing was wrong any more: when coordinators should soon serve.

While another fault lasts, a coordinator may rightly serve nobody, so only a healing after which all is well
counts. Faults that keep nobody from answering (`HARMLESS`) neither count nor disturb.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from checkers.history import Op
from checkers.recovery import Healing
from harness.ledger import Entry
from harness.plan import Plan
from harness.weather import HARMLESS


def healings(entries: Sequence[Entry]) -> list[Healing]:
    """In order of time."""
    harmful = [entry for entry in entries if entry.f not in HARMLESS and not entry.left_alone]
    healed = sorted({entry.healed_s for entry in harmful if entry.healed_s is not None})
    found: list[Healing] = []
    for at in healed:
        begun = [entry for entry in harmful if entry.intended_s < at]
        if any(entry.healed_s is None or entry.healed_s > at for entry in begun):
            continue
        before = max([one.at_ns for one in found], default=-1)
        faults = {entry.fault for entry in begun if (entry.healed_s or 0) * 1e9 > before}
        until_s = min([entry.intended_s for entry in harmful if entry.intended_s >= at], default=None)
        until_ns = None if until_s is None else round(until_s * 1e9)
        found.append(Healing(tuple(sorted(faults)), round(at * 1e9), until_ns))
    return found


def coordinator(plan: Plan) -> Callable[[Op], str | None]:
    """The node that an invocation was sent to."""

    def of(invoke: Op) -> str | None:
        if not isinstance(invoke.process, int):
            return None
        return plan.nodes[invoke.process % plan.concurrency % len(plan.nodes)]

    return of
