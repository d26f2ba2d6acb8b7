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
from typing import Any, Final

from checkers.accesses import Access, accesses, counterexample, doubt, in_words, phantom_details, relinked
from checkers.causal.order import CausalOrder, pattern_details
from checkers.convergence import COPIES
from checkers.history import Op
from checkers.linear import Linearizable
from checkers.models import CasRegister, Kv, Model, Value
from checkers.sequential.search import Answer, Search
from checkers.verdict import Status, Verdict

SHRINK_MAX: Final = 300
SHRINK_STEPS: Final = 2_000
LINEAR_STEPS: Final = 100_000


class Sequential:
    """A `Checker`; `steps` (accesses placed) is the budget of the search, at least twice as many as there
    are.

    `details`: `accesses` judged, `unclear_reads`, `decided_by` ("linearizable", "causal" or "search"),
    `steps`; of an invalid one `anomaly`, `key`, `explanation`, `operations`, and `minimal` (False: more
    than a smallest part). Unknown: the budget is used up; or reads that may have seen one of several
    writes.
    """

    name = "sequential"

    def __init__(
        self, initial: Value = None, steps: int = 300_000, *, known_not_linearizable: bool = False
    ) -> None:
        if steps <= 0:
            raise ValueError(f"a budget is above 0, not {steps}")
        self._try_linearizable = not known_not_linearizable
        self._initial = initial
        self._steps = steps

    def check(self, history: list[Op]) -> Verdict:
        certain = accesses(history, initial=self._initial)
        figures: dict[str, Any] = {"accesses": len(certain.all), "unclear_reads": certain.unclear, "steps": 0}
        if certain.phantoms:
            details = figures | phantom_details(certain.phantoms)
            return Verdict(self.name, Status.INVALID, details["explanation"][0], details)
        if self._try_linearizable and linearizable(history, self._initial):
            text = f"{len(certain.all):,} accesses: sequentially consistent, as they are linearizable"
            return Verdict(self.name, Status.VALID, text, figures | {"decided_by": "linearizable"})
        order = CausalOrder(certain.all)
        pattern = order.pattern or order.converges()
        if pattern is not None:
            details = figures | {"decided_by": "causal"} | pattern_details(pattern, certain.all)
            return Verdict(self.name, Status.INVALID, details["explanation"][0], details)
        return self._searched(history, order, figures)

    def _searched(self, history: list[Op], order: CausalOrder, figures: dict[str, Any]) -> Verdict:
        figures["decided_by"] = "search"
        answer, search = self._search(order)
        figures["steps"] = search.steps
        if answer is Answer.IMPOSSIBLE:
            return _impossible(order.accesses, search, figures)
        if (
            answer is Answer.FOUND
            and figures["unclear_reads"]
            and not self._holds_for_the_latest(history, figures)
        ):
            return Verdict(self.name, Status.UNKNOWN, doubt(figures["unclear_reads"]), figures)
        if answer is Answer.UNDECIDED:
            text = (
                f"the budget of {self._budget(order):,} steps is used up; the longest order found explains "
                f"{len(search.deepest):,} of {len(order.accesses):,} accesses"
            )
            return Verdict(self.name, Status.UNKNOWN, text, figures)
        text = f"{figures['accesses']:,} accesses: sequentially consistent"
        return Verdict(self.name, Status.VALID, text, figures)

    def _holds_for_the_latest(self, history: list[Op], figures: dict[str, Any]) -> bool:
        order = CausalOrder(accesses(history, initial=self._initial, guess=True).all)
        if order.pattern is not None or order.converges() is not None:
            return False
        answer, search = self._search(order)
        figures["steps"] += search.steps
        return answer is Answer.FOUND

    def _budget(self, order: CausalOrder) -> int:
        return max(self._steps, 2 * len(order.accesses))

    def _search(self, order: CausalOrder) -> tuple[Answer, Search]:
        search = _search(order)
        return search.run(self._budget(order)), search


def linearizable(history: Sequence[Op], initial: Value) -> bool:
    """Whether that is quickly seen; False may also mean that it takes too long, or that no model fits."""
    events = [op for op in history if op.f != COPIES]
    fs = {op.f for op in events if op.type == "invoke" and op.process != "nemesis"}
    models: list[Model] = [CasRegister(initial), Kv(initial)]
    model = next((model for model in models if fs <= model.operations), None)
    if model is None:
        return False
    steps = max(LINEAR_STEPS, 4 * len(events))
    return Linearizable(model, steps=steps).check(events).status is Status.VALID


def _search(order: CausalOrder) -> Search:
    """After `converges`: the conflicts are writes that must be in that order here, too. Which write anybody
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
        core = CausalOrder(small)
        core.converges()
        search = _search(core)
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
    if order.pattern is not None or order.converges() is not None:
        return True
    return _search(order).run(SHRINK_STEPS) is Answer.IMPOSSIBLE
