"""Is there a causal order that explains what was read? Causal consistency and two stronger kinds of it,
decided by bad patterns (Bouajjani, Enea, Guerraoui and Hamza, "On Verifying Causal Consistency", POPL 2017,
tables 2 to 4).

CC: each read sees the last write of its key in some order of what it depends on. CCv: all those orders are
parts of one order of the conflicting writes, as in a store that converges. CM: each session has one order
for all its reads. CCv and CM are incomparable, and both imply CC.
"""

from __future__ import annotations

from typing import Any, Final, Literal, NamedTuple, get_args

from checkers.accesses import Accesses, phantom_details
from checkers.causal.memory import ACCESSES_MAX, causal_memory
from checkers.causal.order import CausalOrder, OrderOf, Pattern, causal_order, pattern_details
from checkers.history import Op
from checkers.models import Value
from checkers.readings import Readings, doubt, settled
from checkers.verdict import Status, Verdict

Kind = Literal["cc", "ccv", "cm"]
MEANINGS: Final[dict[Kind, str]] = {
    "cc": "causally consistent",
    "ccv": "causally consistent and convergent",
    "cm": "causal memory",
}


class Found(NamedTuple):
    """A bad pattern, and the reading that has it."""

    judged: Accesses
    pattern: Pattern


class Causal:
    """A `Checker` of the kind that is asked for; its parts are all three. A session is a process.

    `details` of each part: `accesses` judged, `unclear_reads`, and of an invalid one `anomaly` (the bad
    pattern), `key`, and, of the weakest that is broken, `explanation` and `operations`. Unknown: CM of more
    than `ACCESSES_MAX` accesses; a history in which reads may have seen one of several writes, and only if
    they saw the latest is anything wrong.
    """

    name = "causal"

    def __init__(self, kind: Kind = "ccv", initial: Value = None) -> None:
        if kind not in get_args(Kind):
            raise ValueError(f"kind is one of {', '.join(get_args(Kind))}, not {kind!r}")
        self._kind: Kind = kind
        self._initial = initial

    def check(self, history: list[Op]) -> Verdict:
        return self.judge(Readings(history, self._initial))

    def judge(self, readings: Readings, order_of: OrderOf = causal_order) -> Verdict:
        certain = readings.certain
        figures = {"accesses": len(certain.all), "unclear_reads": certain.unclear}
        if certain.phantoms:
            details = figures | phantom_details(certain.phantoms)
            return Verdict(self.name, Status.INVALID, details["explanation"][0], details)
        found, doubtful = settled(readings, lambda judged: _broken(judged, order_of(judged)))
        parts = {
            kind: _part(kind, found.get(kind), kind in doubtful, certain.reads, figures) for kind in MEANINGS
        }
        whole = parts[self._kind]
        if parts["cc"].status is Status.INVALID:
            parts |= {kind: _implied(parts["cc"], kind, figures) for kind in ("ccv", "cm")}
        brief = figures | {name: whole.details[name] for name in ("anomaly", "key") if name in whole.details}
        return Verdict(self.name, whole.status, whole.summary, brief, tuple(parts.values()))


def _broken(judged: Accesses, order: CausalOrder) -> dict[Kind, Found]:
    if order.pattern is not None:
        return dict.fromkeys(MEANINGS, Found(judged, order.pattern))
    patterns: dict[Kind, Pattern | None] = {"ccv": order.divergence}
    if len(judged.all) <= ACCESSES_MAX:
        patterns["cm"] = causal_memory(judged.all, order.in_order())
    return {kind: Found(judged, pattern) for kind, pattern in patterns.items() if pattern is not None}


def _part(kind: Kind, found: Found | None, doubtful: bool, reads: int, figures: dict[str, Any]) -> Verdict:
    if found is not None:
        details = pattern_details(found.pattern, found.judged.all)
        return Verdict(kind, Status.INVALID, details["explanation"][0], figures | details)
    if not reads:
        return Verdict(kind, Status.VACUOUS, "nobody has read anything", figures)
    if kind == "cm" and figures["accesses"] > ACCESSES_MAX:
        reason = f"not judged: {figures['accesses']:,} accesses are more than {ACCESSES_MAX:,}"
        return Verdict(kind, Status.UNKNOWN, reason, figures)
    if doubtful:
        return Verdict(kind, Status.UNKNOWN, doubt(figures["unclear_reads"]), figures)
    return Verdict(kind, Status.VALID, f"{figures['accesses']:,} accesses: {MEANINGS[kind]}", figures)


def _implied(cc: Verdict, kind: Kind, figures: dict[str, Any]) -> Verdict:
    sentence = f"not {MEANINGS[kind]}, as not even causally consistent: {cc.details['anomaly']}"
    return Verdict(kind, Status.INVALID, sentence, figures | {"anomaly": cc.details["anomaly"]})
