"""Read your writes, monotonic reads, monotonic writes, writes follow reads (Terry et al. 1994), for
registers.

A session is a process; one that crashed and came back under another number is another session. The order of
writes is not known, so a guarantee is broken only if no order of all writes lets it hold: see `order`. Some
contradictions need two guarantees: a session that writes 1 and 2 and then reads 1 breaks either the one or
the other. Such a one is told of the guarantee about what it read, and names both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from checkers.accesses import Accesses, counterexample, in_words, phantom_details
from checkers.graph import Edge, Graph
from checkers.history import Op
from checkers.models import Value
from checkers.readings import Readings, doubt, settled
from checkers.sessions.order import GUARANTEES, Order, Reason, Rule, obligations
from checkers.verdict import Status, Verdict

NAMES: Final[dict[Rule, str]] = {rule: rule.value.replace(" ", "-") for rule in GUARANTEES}
STARTS_MAX: Final = 20
"""From how many writes a short circle is looked for."""
SHORT: Final = 3
"""A circle of so few edges is not made shorter."""
SESSIONS_SHOWN: Final = 20
FIRST: Final = 10


class Found(NamedTuple):
    """A circle, the rules that it needs, and by process the starts of the operations that are part of any."""

    sentences: list[str]
    operations: list[dict[str, Any]]
    key: str | None
    rules: tuple[Rule, ...]
    violating: dict[int | str, set[int]]


class Sessions:
    """A `Checker`; its parts are the four guarantees. It is invalid if they do not all hold at once, even
    if each of them would by itself. A part is vacuous if no operation was obliged by it, the whole if all
    parts are.

    `details` of it and of each part: `accesses` judged, `sessions` of processes, `unclear_reads`; of a part
    `obliged`, how many operations could have broken it. Of what is invalid also `anomaly`, `rules` that
    contradict each other, `explanation`, `operations`, `key` (of the first write of the circle),
    `violating_operations` and `violating_sessions`: those that are part of a contradiction; and `by_session`,
    the sessions with most of them: [{process, violating, first}], where `first` are the positions of the
    first few of their invocations in the history. Unknown: only if reads that may have seen one of several
    writes saw the latest one is anything wrong.
    """

    name = "sessions"

    def __init__(self, initial: Value = None) -> None:
        self._initial = initial

    def check(self, history: list[Op]) -> Verdict:
        return self.judge(Readings(history, self._initial))

    def judge(self, readings: Readings) -> Verdict:
        certain = readings.certain
        figures = _figures(certain)
        if certain.phantoms:
            details = phantom_details(certain.phantoms)
            return Verdict(self.name, Status.INVALID, details["explanation"][0], figures | details)
        found, doubtful = settled(readings, _judged)
        obliged = obligations(certain)
        parts = tuple(_part(rule, found.get(rule), rule in doubtful, obliged, figures) for rule in GUARANTEES)
        if None in found:
            return _broken(found, parts, figures)
        if None in doubtful:
            return Verdict(self.name, Status.UNKNOWN, doubt(certain.unclear), figures, parts)
        idle = [part.checker for part in parts if part.status is Status.VACUOUS]
        if len(idle) == len(parts):
            return Verdict(self.name, Status.VACUOUS, "no operation was obliged by any", figures, parts)
        summary = f"all four guarantees hold for {_sessions(figures['sessions'])}"
        if idle:
            summary += f" (nothing was obliged by {', '.join(idle)})"
        return Verdict(self.name, Status.VALID, summary, figures, parts)


def _figures(judged: Accesses) -> dict[str, Any]:
    return {
        "accesses": len(judged.all),
        "sessions": len({access.process for access in judged.all}),
        "unclear_reads": judged.unclear,
    }


def _judged(judged: Accesses) -> dict[Rule | None, Found]:
    """What contradicts each guarantee and, under None, all of them; nothing if they all hold at once."""
    order = Order(judged.all)
    found: dict[Rule | None, Found] = {}
    knots = order.contradictions(GUARANTEES)[1]
    if not knots:
        return found
    order = order.inside(knots)
    for rule in GUARANTEES:
        alone = _contradiction(order, (rule,))
        if alone is not None:
            found[rule] = alone
    if Rule.MONOTONIC_WRITES not in found:
        for rule in GUARANTEES:
            rules = (rule, Rule.MONOTONIC_WRITES)
            known = rule in found or rule is Rule.MONOTONIC_WRITES
            together = None if known else _contradiction(order, rules)
            if together is not None:
                found[rule] = together
    found[None] = next(iter(found.values()), None) or _at_once(order)
    return found


def _at_once(order: Order) -> Found:
    joint = _contradiction(order, GUARANTEES)
    assert joint is not None
    return joint


def _broken(found: dict[Rule | None, Found], parts: tuple[Verdict, ...], figures: dict[str, Any]) -> Verdict:
    invalid = [part for part in parts if part.status is Status.INVALID]
    if not invalid:
        joint = found[None]
        details = _details(joint, " or ".join(NAMES[rule] for rule in joint.rules))
        return Verdict(Sessions.name, Status.INVALID, _accused(joint), figures | details, parts)
    violating: dict[int | str, set[int]] = {}
    for each in found.values():
        for process, starts in each.violating.items():
            violating.setdefault(process, set()).update(starts)
    summary = f"{' and '.join(part.checker for part in invalid)} broken: {invalid[0].summary}"
    details = {"anomaly": invalid[0].checker} | _by_session(violating)
    return Verdict(Sessions.name, Status.INVALID, summary, figures | details, parts)


def _contradiction(order: Order, rules: Sequence[Rule]) -> Found | None:
    graph, knots = order.contradictions(rules)
    if not knots:
        return None
    circle = _circle(order, graph, knots)
    place = {node: number for number, knot in enumerate(knots) for node in knot}
    violating: dict[int | str, set[int]] = {}
    for reason in order.reasons():
        knot = place.get(reason.tail)
        if knot is not None and knot == place.get(reason.head) and reason.rule in rules:
            later = order.accesses[reason.later]
            violating.setdefault(later.process, set()).add(later.operation.start)
    used = [order.reason(edge.why) for edge in circle]
    members = dict.fromkeys(number for reason in used for number in (reason.earlier, reason.later))
    writes = [write for edge in circle if (write := order.access_of(edge.head)) is not None]
    accused = max(
        (reason.later for reason in used), key=lambda number: order.accesses[number].operation.start
    )
    return Found(
        _sentences(order, circle, accused),
        counterexample([each.operation for each in (*map(order.accesses.__getitem__, members), *writes)]),
        order.accesses[accused].key,
        tuple(rule for rule in GUARANTEES if any(reason.rule is rule for reason in used)),
        violating,
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
    """Who is accused, then a sentence for each step of the circle from one write to the next."""
    rules = [order.reason(edge.why).rule for edge in circle]
    names = dict.fromkeys(rule.value for rule in rules if rule is not Rule.DATA)
    sentences = [f"{in_words(order.accesses[accused].operation)}, against {' or '.join(names)}"]
    first: Reason | None = None
    for edge in circle:
        last = order.reason(edge.why)
        first = first or last
        if not order.is_write(edge.head):
            continue
        if last.rule is not Rule.DATA:
            earlier, later = order.accesses[first.earlier], order.accesses[last.later]
            sentences.append(
                f"{last.rule.value}: {in_words(later.operation)} after {in_words(earlier.operation)}"
            )
        first = None
    return sentences


def _part(
    rule: Rule, found: Found | None, doubtful: bool, obliged: Counter[Rule], figures: dict[str, Any]
) -> Verdict:
    name = NAMES[rule]
    figures = figures | {"obliged": obliged[rule]}
    if found is not None:
        return Verdict(name, Status.INVALID, _accused(found), figures | _details(found, name))
    if doubtful:
        return Verdict(name, Status.UNKNOWN, doubt(figures["unclear_reads"]), figures)
    if not obliged[rule]:
        return Verdict(name, Status.VACUOUS, "no operation was obliged by it", figures)
    text = f"holds for {_sessions(figures['sessions'])}, in {obliged[rule]:,} operations that it obliged"
    return Verdict(name, Status.VALID, text, figures)


def _accused(found: Found) -> str:
    operations = sum(map(len, found.violating.values()))
    more = f"{operations:,} operations of {_sessions(len(found.violating))} are part of contradictions"
    return f"{found.sentences[0]}; {more}"


def _sessions(number: int) -> str:
    return f"{number:,} session{'s' * (number != 1)}"


def _details(found: Found, anomaly: str) -> dict[str, Any]:
    return {
        "anomaly": anomaly,
        "key": found.key,
        "rules": [rule.value for rule in found.rules],
        "explanation": found.sentences,
        "operations": found.operations,
    } | _by_session(found.violating)


def _by_session(violating: dict[int | str, set[int]]) -> dict[str, Any]:
    worst = sorted(violating.items(), key=lambda each: (-len(each[1]), str(each[0])))
    return {
        "violating_operations": sum(map(len, violating.values())),
        "violating_sessions": len(violating),
        "by_session": [
            {"process": process, "violating": len(starts), "first": sorted(starts)[:FIRST]}
            for process, starts in worst[:SESSIONS_SHOWN]
        ],
    }
