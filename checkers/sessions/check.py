"""Read your writes, monotonic reads, monotonic writes, writes follow reads (Terry et al. 1994), for
registers.

A session is a process; one that crashed and came back under another number is another session. The order of
writes is not known, so a guarantee is broken only if no order of all writes lets it hold: see `order`. Some
contradictions need two guarantees: a session that writes 1 and 2 and then reads 1 breaks either the one or
the other. Such a one is told of the guarantee about what it read, with the words "if monotonic writes
hold".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from checkers.accesses import Accesses, accesses, counterexample, doubt, in_words, phantom_details
from checkers.graph import Edge, Graph
from checkers.history import Op
from checkers.models import Value
from checkers.sessions.order import GUARANTEES, Order, Rule
from checkers.verdict import Status, Verdict

NAMES: Final[dict[Rule, str]] = {rule: rule.value.replace(" ", "-") for rule in GUARANTEES}
STARTS_MAX: Final = 20
"""From how many writes a short circle is looked for."""
SHORT: Final = 3
"""A circle of so few edges is not made shorter."""


class Found(NamedTuple):
    """A circle, the rules that it needs, and the accesses, and their processes, that are part of any."""

    sentences: list[str]
    operations: list[dict[str, Any]]
    key: str | None
    rules: tuple[Rule, ...]
    violating: frozenset[int]
    sessions: frozenset[int | str]


class Sessions:
    """A `Checker`; its parts are the four guarantees. It is invalid if they do not all hold at once, even
    if each of them would by itself.

    `details` of it and of each part: `accesses` judged, `sessions` of processes, `unclear_reads`. Of what is
    invalid also `anomaly`, `rules` that contradict each other, `explanation`, `operations`, `key` (of the
    first write of the circle), `violating_operations` and `violating_sessions`: those that are part of a
    contradiction. Unknown: only if reads that may have seen one of several writes saw the latest one is
    anything wrong.
    """

    name = "sessions"

    def __init__(self, initial: Value = None) -> None:
        self._initial = initial

    def check(self, history: list[Op]) -> Verdict:
        certain = accesses(history, initial=self._initial)
        figures = _figures(certain)
        if certain.phantoms:
            details = phantom_details(certain.phantoms)
            return Verdict(self.name, Status.INVALID, details["explanation"][0], figures | details)
        found = _judged(certain)
        guessed = found
        if certain.unclear:
            guessed = _judged(accesses(history, initial=self._initial, guess=True))
        parts = tuple(_part(rule, found.get(rule), rule in guessed, figures) for rule in GUARANTEES)
        if not found and guessed:
            return Verdict(self.name, Status.UNKNOWN, doubt(certain.unclear), figures, parts)
        if not found:
            summary = f"all four guarantees hold for {figures['sessions']:,} sessions"
            return Verdict(self.name, Status.VALID, summary, figures, parts)
        joint = found.get(None)
        if joint is not None:
            details = figures | _details(joint, " or ".join(NAMES[rule] for rule in joint.rules))
            return Verdict(self.name, Status.INVALID, _accused(joint), details, parts)
        first = next(part for part in parts if part.status is Status.INVALID)
        names = " and ".join(part.checker for part in parts if part.status is Status.INVALID)
        details = {
            "anomaly": first.checker,
            "violating_operations": len(frozenset().union(*(each.violating for each in found.values()))),
            "violating_sessions": len(frozenset().union(*(each.sessions for each in found.values()))),
        }
        summary = f"{names} broken: {first.summary}"
        return Verdict(self.name, Status.INVALID, summary, figures | details, parts)


def _figures(judged: Accesses) -> dict[str, Any]:
    return {
        "accesses": len(judged.all),
        "sessions": len({access.process for access in judged.all}),
        "unclear_reads": judged.unclear,
    }


def _judged(judged: Accesses) -> dict[Rule | None, Found]:
    """What contradicts each guarantee, or else, under None, all of them; nothing if they all hold at once."""
    order = Order(judged.all)
    found: dict[Rule | None, Found] = {}
    if not order.contradictions(GUARANTEES)[1]:
        return found
    for rule in GUARANTEES:
        alone = _contradiction(order, (rule,))
        if alone is not None:
            found[rule] = alone
    if Rule.MONOTONIC_WRITES not in found:
        for rule in GUARANTEES:
            together = None if rule in found else _contradiction(order, (rule, Rule.MONOTONIC_WRITES))
            if together is not None:
                found[rule] = together
    if not found:
        joint = _contradiction(order, GUARANTEES)
        assert joint is not None
        found[None] = joint
    return found


def _contradiction(order: Order, rules: Sequence[Rule]) -> Found | None:
    graph, knots = order.contradictions(rules)
    if not knots:
        return None
    circle = _circle(order, graph, knots)
    place = {node: number for number, knot in enumerate(knots) for node in knot}
    violating = {
        reason.later
        for reason in order.reasons
        if reason.rule in rules and reason.tail in place and place[reason.tail] == place.get(reason.head)
    }
    used = [order.reasons[edge.why] for edge in circle]
    members = dict.fromkeys(number for reason in used for number in (reason.earlier, reason.later))
    writes = [edge.head for edge in circle if edge.head < len(order.accesses)]
    operations = [order.accesses[number].operation for number in [*members, *writes]]
    accused = max(
        (reason.later for reason in used), key=lambda number: order.accesses[number].operation.start
    )
    return Found(
        _sentences(order, circle, accused),
        counterexample(operations),
        order.accesses[accused].key,
        tuple(rule for rule in GUARANTEES if any(reason.rule is rule for reason in used)),
        frozenset(violating),
        frozenset(order.accesses[number].process for number in violating),
    )


def _circle(order: Order, graph: Graph, knots: Sequence[Sequence[int]]) -> list[Edge]:
    """A short one through two writes."""
    best: list[Edge] = []
    starts = 0
    for knot in sorted(knots, key=len):
        within = set(knot)
        writes = {node for node in knot if order.is_write(node)}
        for start in sorted(writes)[:STARTS_MAX]:
            if starts == STARTS_MAX or 0 < len(best) <= SHORT:
                return best
            starts += 1
            there = graph.path(start, writes - {start}, within)
            circle = there + graph.path(there[-1].head, {start}, within)
            if not best or len(circle) < len(best):
                best = circle
    return best


def _sentences(order: Order, circle: Sequence[Edge], accused: int) -> list[str]:
    rules = [order.reasons[edge.why].rule for edge in circle]
    names = dict.fromkeys(rule.value for rule in rules if rule is not Rule.DATA)
    told = [f"{in_words(order.accesses[accused].operation)}, against {' or '.join(names)}"]
    for edge in circle:
        reason = order.reasons[edge.why]
        later, earlier = order.accesses[reason.later], order.accesses[reason.earlier]
        if reason.rule is Rule.DATA:
            continue
        after = f" after {in_words(earlier.operation)}" if reason.earlier != reason.later else ""
        told.append(f"{reason.rule.value}: {in_words(later.operation)}{after}")
    return list(dict.fromkeys(told))


def _part(rule: Rule, found: Found | None, doubtful: bool, figures: dict[str, Any]) -> Verdict:
    name = NAMES[rule]
    if found is not None:
        return Verdict(name, Status.INVALID, _accused(found), figures | _details(found, name))
    if doubtful:
        return Verdict(name, Status.UNKNOWN, doubt(figures["unclear_reads"]), figures)
    return Verdict(name, Status.VALID, f"holds for {figures['sessions']:,} sessions", figures)


def _accused(found: Found) -> str:
    operations, sessions = len(found.violating), len(found.sessions)
    more = f"{operations:,} operations of {sessions:,} sessions are part of contradictions"
    return f"{found.sentences[0]}; {more}"


def _details(found: Found, anomaly: str) -> dict[str, Any]:
    return {
        "anomaly": anomaly,
        "key": found.key,
        "rules": [rule.value for rule in found.rules],
        "explanation": found.sentences,
        "operations": found.operations,
        "violating_operations": len(found.violating),
        "violating_sessions": len(found.sessions),
    }
