"""Why a history is not linearizable, in words: who did what when, and what had been acknowledged before.

Works on the smallest part that is wrong (`checkers.linear.minimize`). The sentences about who wrote a value
and who overwrote it are only ever said where they follow from real time alone; what follows from nothing so
simple is told as what it is: these operations, these possible values, and no order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from checkers.history import Operation, seconds
from checkers.linear.minimize import Core
from checkers.linear.problem import Call, Problem
from checkers.linear.search import Answer, Search
from checkers.models import ILLEGAL, Illegal, Model, State, frozen, show

EXPLAIN_STEPS: Final = 10_000
MANY: Final = 12
"""Above so many operations, the sentences give the first ones and count the others."""


class Accusation(NamedTuple):
    """`sentences`: the contradiction first. `operations`: the smallest part that is wrong, as JSON."""

    sentences: list[str]
    operations: list[dict[str, Any]]


def accusation(
    model: Model, key: str | None, core: Core, operations: Sequence[Operation], calls: Sequence[Call]
) -> Accusation:
    """`operations` and `calls` are all of the key's, before anything was left out."""
    if core.out_of:
        return _too_long(model, key, core)
    search = Search(Problem(core.calls, model, core.initial))
    answer = search.run(EXPLAIN_STEPS)
    accused = search.problem.required[-1]
    case = _Case(model, key, core, accused, operations, calls)
    sentences = [case.contradiction() or case.without_order(), *case.context()]
    if answer is Answer.IMPOSSIBLE and search.problem.required[search.deepest] is accused:
        sentences.append(case.possible(search.reached()))
    return Accusation(sentences, [describe_event(call) for call in core.calls])


def _too_long(model: Model, key: str | None, core: Core) -> Accusation:
    """Of a contradiction that is not shown whole nothing is said but that."""
    last = max((call for call in core.calls if call.end is not None), key=lambda call: call.end or 0)
    sentences = [
        f"{told(model, key, last)}, which no order of it and {core.out_of - 1} other operations explains",
        f"Those are too many to tell; these are the last {len(core.calls)} of them:",
        *(f"  {told(model, key, call)}" for call in core.calls[-MANY:]),
    ]
    return Accusation(sentences, [describe_event(call) for call in core.calls])


def describe_event(call: Call) -> dict[str, Any]:
    """An operation as JSON; `start` and `end` are positions in the history, times nanoseconds or -1."""
    invoke, completion, start, end = call.operation
    return {
        "process": invoke.process,
        "f": invoke.f,
        "key": invoke.key,
        "value": call.operation.value,
        "outcome": call.operation.outcome,
        "error": None if completion is None else completion.error,
        "start": start,
        "end": end,
        "invoked_ns": invoke.time,
        "completed_ns": -1 if completion is None else completion.time,
        "open_at_the_end": call.end is None,
    }


def told(model: Model, key: str | None, call: Call) -> str:
    """'process 3 read 12 on key k7 (14.201 s to 14.204 s)'"""
    did = model.in_words(call.f, call.value)
    perhaps = "perhaps " if call.end is None else ""
    thing = "" if key is None else f" on key {key}"
    who = f"process {call.operation.invoke.process}"
    return f"{who} {perhaps}{did}{thing} {_span(call.operation, call.end)}"


class _Case:
    def __init__(
        self,
        model: Model,
        key: str | None,
        core: Core,
        accused: Call,
        operations: Sequence[Operation],
        calls: Sequence[Call],
    ) -> None:
        self.model = model
        self.core = core
        self.accused = accused
        self.operations = operations
        self.calls = calls
        self.key = key

    # The typical contradictions -------------------------------------------------------------------

    def contradiction(self) -> str | None:
        """The first of the well-known ways of being wrong that holds, or None."""
        needed = self.model.needs(self.accused.f, self.accused.value)
        if needed is ILLEGAL:
            return None
        others = [self._overwritten, self._taken_too_often]
        if self._takes(self.accused, needed):
            others.reverse()
        cases = [self._never_written, self._not_yet_written, *others]
        return next((sentence for case in cases if (sentence := case(needed)) is not None), None)

    def _never_written(self, needed: State | Illegal) -> str | None:
        if self.core.begun or needed == self.core.initial or self._writers(needed):
            return None
        failed = [each for each in self.operations if each.outcome == "fail" and self._meant(each) == needed]
        said = f"{self.told(self.accused)}, but "
        if not failed:
            return f"{said}nobody ever wrote {show(needed)}"
        first = f"that of process {failed[0].invoke.process} {_span(failed[0], failed[0].end)}"
        if len(failed) == 1:
            return f"{said}the only write of {show(needed)} had failed: {first}"
        return f"{said}all {len(failed)} writes of {show(needed)} had failed, the first being {first}"

    def _meant(self, operation: Operation) -> State | Illegal:
        return self.model.leaves(operation.invoke.f, frozen(operation.value))

    def _not_yet_written(self, needed: State | Illegal) -> str | None:
        writers = self._writers(needed)
        end = self.accused.end
        if self.core.begun or needed == self.core.initial or not writers or end is None:
            return None
        if any(call.start < end for call in writers):
            return None
        first = min(writers, key=lambda call: call.start)
        return f"{self.told(self.accused)}, but {show(needed)} was only written later: {self.told(first)}"

    def _overwritten(self, needed: State | Illegal) -> str | None:
        """Every write of the value had been acknowledged before another change began, and this one too."""
        accused = self.accused
        writers = [call for call in self._writers(needed) if accused.end is None or call.start < accused.end]
        if any(call.end is None or call.end > accused.start for call in writers if call is not accused):
            return None
        writers = [call for call in writers if call is not accused]
        settled = max((call.end or 0 for call in writers), default=self.core.begun)
        if needed != self.core.initial and not writers:
            return None
        later = [call for call in self.core.calls if call.end is not None and call.end < accused.start]
        changes = [call for call in later if call.start >= settled and self._moves(call, needed)]
        if changes:
            return self._stale(needed, writers, max(changes, key=lambda call: call.end or 0))
        seen = [call for call in later if self._saw_other(call, needed, settled)]
        return self._went_back(needed, writers, max(seen, key=lambda call: call.end or 0)) if seen else None

    def _moves(self, call: Call, needed: State | Illegal) -> bool:
        left = self.model.leaves(call.f, call.value)
        return left is not ILLEGAL and left != needed

    def _saw_other(self, call: Call, needed: State | Illegal, settled: int) -> bool:
        """It read a value all of whose writes began after those of `needed` were acknowledged."""
        value = self.model.needs(call.f, call.value)
        if value is ILLEGAL or value in (needed, self.core.initial) or not self._pure(call):
            return False
        writers = self._writers(value)
        return bool(writers) and all(each.start >= settled for each in writers)

    def _stale(self, needed: State | Illegal, writers: list[Call], change: Call) -> str:
        said = (
            f"{self.told(self.accused)}, but {self.told(change)} had been acknowledged {self.at_end(change)}"
        )
        if not writers:
            lost = ": the change was lost" if self._pure(self.accused) else ""
            return f"{said}, and nobody set it to {show(needed)} after that{lost}"
        return f"{said}, after {self._acknowledged(needed, writers)}, and nobody wrote {show(needed)} again"

    def _went_back(self, needed: State | Illegal, writers: list[Call], reader: Call) -> str:
        said = f"{self.told(self.accused)}, but before that {self.told(reader)}"
        if not writers:
            return f"{said}, and nobody set it back to {show(needed)}"
        before = self._acknowledged(needed, writers)
        return f"{said}, which was written after {before}; nobody wrote {show(needed)} again"

    def _acknowledged(self, needed: State | Illegal, writers: list[Call]) -> str:
        last = max(writers, key=lambda call: call.end or 0)
        who = f"process {last.operation.invoke.process}'s {last.f}"
        what = f"{who} of {show(needed)}" if last.f != "cas" else f"{who} to {show(needed)}"
        return f"{what} was acknowledged {self.at_end(last)}"

    def _taken_too_often(self, needed: State | Illegal) -> str | None:
        """Others took the object out of a state as often as anything can have brought it there."""
        accused = self.accused
        takers = [call for call in self.core.calls if call is not accused and self._takes(call, needed)]
        if not self._takes(accused, needed):
            takers = [call for call in takers if call.end is not None and call.end < accused.start]
        times = sum(self._brings(call, needed) for call in self.core.calls) + (needed == self.core.initial)
        if not takers or len(takers) < times:
            return None
        if len(takers) > MANY:
            return (
                f"{self.told(accused)}, which needs {show(needed)}, but {len(takers)} other operations took "
                f"it away from there, and nothing can have brought it there more than {times} times"
            )
        others = ", and ".join(self.told(call) for call in takers)
        if times == 1 and needed == self.core.initial:
            how = "it was so at the beginning only"
        else:
            how = f"nothing can have brought it there {'twice' if times == 1 else f'more than {times} times'}"
        return f"{self.told(accused)}, which needs {show(needed)}, but {others}, and {how}"

    def _takes(self, call: Call, state: State | Illegal) -> bool:
        needs = self.model.needs(call.f, call.value)
        return call.end is not None and needs == state and self._moves(call, state)

    def _brings(self, call: Call, state: State | Illegal) -> bool:
        left = self.model.leaves(call.f, call.value)
        needs = self.model.needs(call.f, call.value)
        return (left is ILLEGAL and not self._pure(call)) or (left == state and needs != state)

    # What can always be said -----------------------------------------------------------------------

    def without_order(self) -> str:
        if len(self.core.calls) == 1 and self.core.begun:
            return f"{self.told(self.accused)}, when it could only be {show(self.core.initial)}"
        if len(self.core.calls) == 1:
            return f"{self.told(self.accused)}, which nothing explains"
        others = len(self.core.calls) - 1
        return (
            f"{self.told(self.accused)}, which no order of it and "
            f"{others} other operation{'s' if others > 1 else ''} explains"
        )

    def context(self) -> list[str]:
        """The operations themselves, in the order of their beginning."""
        calls = sorted(self.core.calls, key=lambda call: call.start)
        start = f"It began as {show(self.core.initial)}"
        if self.core.begun:
            forced = show(self.core.initial)
            start = f"At event {self.core.begun} nothing was running and it could only be {forced}"
            if not self.core.quiet:
                start = (
                    f"After event {self.core.begun} it could only be {forced}, "
                    "whatever had taken effect of what was running"
                )
        if len(calls) == 1:
            return [f"{start}; this operation alone is impossible."]
        sentences = [f"{start}; these {len(calls)} operations contradict each other:"]
        sentences += [f"  {self.told(call)}" for call in calls[:MANY]]
        if len(calls) > MANY:
            sentences.append(f"  ... and {len(calls) - MANY} more, up to {self.told(calls[-1])}")
        return sentences

    def possible(self, states: Sequence[State]) -> str:
        shown = " or ".join(show(state) for state in states[:4]) + (" or others" if len(states) > 4 else "")
        needs = self.model.needs(self.accused.f, self.accused.value)
        wanted = "." if needs is ILLEGAL else f"; it needs {show(needs)}."
        who = f"process {self.accused.operation.invoke.process}'s {self.accused.operation.invoke.f}"
        return f"The orders that explain every completion before that of {who} lead to {shown}{wanted}"

    # Phrases ---------------------------------------------------------------------------------------

    def told(self, call: Call) -> str:
        return told(self.model, self.key, call)

    def at_end(self, call: Call) -> str:
        completion = call.operation.completion
        time = -1 if completion is None else completion.time
        return f"at event {call.end}" if time < 0 else f"at {time / 1e9:.3f} s"

    def _writers(self, state: State | Illegal) -> list[Call]:
        """Everybody who may have brought the object to that state, or may have done anything at all to it."""
        return [
            call
            for call in self.calls
            if not self._pure(call) and self.model.leaves(call.f, call.value) in (state, ILLEGAL)
        ]

    def _pure(self, call: Call) -> bool:
        return self.model.pure(call.f, call.value)


def _span(operation: Operation, end: int | None) -> str:
    """When it ran; `end` is None if it was open as far as we look."""
    invoke, completion = operation.invoke, operation.completion
    timed = invoke.time >= 0 and (completion is None or completion.time >= 0)
    start = f"{invoke.time / 1e9:.3f} s" if timed else f"event {operation.start}"
    if end is None or completion is None:
        acknowledged = "never acknowledged" if operation.outcome == "info" else "acknowledged later"
        return f"(from {start}, {acknowledged})"
    return (
        f"({seconds(invoke.time, completion.time)})"
        if timed
        else f"(events {operation.start} to {operation.end})"
    )
