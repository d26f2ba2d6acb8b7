"""Is there one order of all operations that keeps each session's order and explains what was read?

Sequential consistency (Lamport 1979) is not local: each key may have such an order, and all together none.
What is linearizable is sequentially consistent, and what breaks causal convergence (CCv) is not; both are
decided fast. Between them there is a search, and where that does not get to an end the answer is "unknown".

A value that was read before anybody had asked for it to be written is convicted, though the definition
knows no time: see `accesses`.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from typing import Any, Final, NamedTuple

from checkers.accesses import Access, Accesses, counterexample, in_words, phantom_details, relinked
from checkers.causal.order import CausalOrder, OrderOf, Pattern, causal_order, pattern_details
from checkers.history import Op
from checkers.models import Value
from checkers.readings import Readings, doubt
from checkers.sequential.search import Answer, Search
from checkers.verdict import Status, Verdict

SHRINK_MAX: Final = 300
SHRINK_STEPS: Final = 2_000


class _Tried(NamedTuple):
    """What became of a reading; `steps`: spent until then, `sure`: it speaks for all."""

    answer: Answer
    reading: Accesses
    steps: int
    pattern: Pattern | None
    search: Search | None
    sure: bool


class Sequential:
    """A `Checker`; `steps` (accesses placed) is the budget of the search, at least twice as many as there
    are. `try_linearizable`: whether to ask first if it is linearizable.

    `details`: `accesses` judged, `unclear_reads`, `decided_by` ("linearizable", "causal" or "search"),
    `steps`; of an invalid one `anomaly`, `key`, `explanation`, `operations`, and `minimal` (False: more
    than a smallest part). Unknown: the budget is used up; or reads that may have seen one of several
    writes.
    """

    name = "sequential"

    def __init__(self, initial: Value = None, steps: int = 300_000, *, try_linearizable: bool = True) -> None:
        if steps <= 0:
            raise ValueError(f"a budget is above 0, not {steps}")
        self._try_linearizable = try_linearizable
        self._initial = initial
        self._steps = steps

    def check(self, history: list[Op]) -> Verdict:
        return self.judge(Readings(history, self._initial))

    def judge(self, readings: Readings, order_of: OrderOf = causal_order) -> Verdict:
        certain = readings.certain
        figures: dict[str, Any] = {"accesses": len(certain.all), "unclear_reads": certain.unclear, "steps": 0}
        if certain.phantoms:
            details = figures | phantom_details(certain.phantoms)
            return Verdict(self.name, Status.INVALID, details["explanation"][0], details)
        if not certain.reads:
            return Verdict(self.name, Status.VACUOUS, "nobody has read anything", figures)
        if self._try_linearizable and readings.linearizable():
            text = f"{len(certain.all):,} accesses: sequentially consistent, as they are linearizable"
            return Verdict(self.name, Status.VALID, text, figures | {"decided_by": "linearizable"})
        tried = self._try(certain, figures["steps"], order_of)
        if tried.answer is Answer.FOUND and certain.unclear:
            tried = self._try_all(readings, order_of)
        return self._verdict(tried, figures)

    def _try_all(self, readings: Readings, order_of: OrderOf) -> _Tried:
        """The first that has an order; else whether all of them have none."""
        spent, undecided, first = 0, None, None
        for reading in readings.tried():
            tried = self._try(reading, spent, order_of)
            spent = tried.steps
            if tried.answer is Answer.FOUND:
                return tried
            first = first or tried
            if tried.answer is Answer.UNDECIDED:
                undecided = tried
        assert first is not None
        if undecided is not None:
            return undecided._replace(steps=spent)
        return first._replace(steps=spent, sure=readings.exhaustive)

    def _try(self, reading: Accesses, spent: int, order_of: OrderOf) -> _Tried:
        order = order_of(reading)
        pattern = order.pattern or order.divergence
        if pattern is not None:
            return _Tried(Answer.IMPOSSIBLE, reading, spent, pattern, None, True)
        search = _search(order)
        answer = search.run(max(self._budget(reading) - spent, len(reading.all) + 1))
        return _Tried(answer, reading, spent + search.steps, None, search, True)

    def _budget(self, reading: Accesses) -> int:
        return max(self._steps, 2 * len(reading.all))

    def _verdict(self, tried: _Tried, figures: dict[str, Any]) -> Verdict:
        answer, reading, steps, pattern, search, sure = tried
        figures |= {"decided_by": "causal" if search is None else "search", "steps": steps}
        if not sure:
            return Verdict(self.name, Status.UNKNOWN, doubt(reading.unclear), figures)
        if pattern is not None:
            details = figures | pattern_details(pattern, reading.all)
            return Verdict(self.name, Status.INVALID, details["explanation"][0], details)
        assert search is not None
        if answer is Answer.IMPOSSIBLE:
            return _impossible(reading.all, search, figures)
        if answer is Answer.UNDECIDED:
            text = (
                f"the budget of {self._budget(reading):,} steps is used up; the longest order found explains "
                f"{len(search.deepest):,} of {len(reading.all):,} accesses"
            )
            return Verdict(self.name, Status.UNKNOWN, text, figures)
        text = f"{figures['accesses']:,} accesses: sequentially consistent"
        return Verdict(self.name, Status.VALID, text, figures)


def _search(order: CausalOrder) -> Search:
    """The conflicts are writes that must be in that order here, too. Which write anybody
    was told of first is tried first."""
    answered = [inf] * len(order.accesses)
    for access in order.accesses:
        end = access.operation.end
        for number in (access.number, access.seen):
            if number >= 0 and end is not None and access.certain:
                answered[number] = min(answered[number], end)
    by_answer = sorted(range(len(answered)), key=answered.__getitem__)
    priority = [0] * len(answered)
    for place, number in enumerate(by_answer):
        priority[number] = place
    return Search(order.accesses, ((first, second) for first, second, _ in order.conflicts), priority)


def _impossible(accesses: Sequence[Access], search: Search, figures: dict[str, Any]) -> Verdict:
    small, minimal = list(accesses), len(accesses) <= SHRINK_MAX
    if minimal:
        small = _shrunk(small)
        search = _search(CausalOrder(small))
        search.run(SHRINK_STEPS)
    blocked = [small[number] for number in search.blocked()]
    shown = small if minimal else blocked
    first = max(blocked or small, key=lambda access: access.operation.start)
    sentences = [f"{in_words(first.operation)}, which no order of all sessions explains"]
    sentences += [in_words(access.operation) for access in shown[:12]]
    details = figures | {
        "anomaly": "no sequential order",
        "key": first.key,
        "explanation": sentences,
        "operations": counterexample(access.operation for access in shown),
        "minimal": minimal,
    }
    return Verdict(Sequential.name, Status.INVALID, sentences[0], details)


def _shrunk(accesses: list[Access]) -> list[Access]:
    """Without whatever can be left out: reads, and writes that nobody sees any more."""
    number = len(accesses) - 1
    while number >= 0:
        without = relinked(accesses, number)
        if without is not None and _refuted(without):
            accesses = without
            number = min(number, len(accesses))
        number -= 1
    return accesses


def _refuted(accesses: Sequence[Access]) -> bool:
    order = CausalOrder(accesses)
    if order.pattern is not None or order.divergence is not None:
        return True
    return _search(order).run(SHRINK_STEPS) is Answer.IMPOSSIBLE
