"""The linearizability checker: Herlihy and Wing's condition (1990), key by key.

An object of independent keys is linearizable exactly if each key is (locality; Horn and Kroening 2015 call
its use P-compositionality), so each key is searched by itself. The searches take turns under slices that
grow: a key that is easily refuted decides early, while another might take for ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, NamedTuple, get_args

from checkers.history import Op, Operation, pair
from checkers.linear.auto import by_path
from checkers.linear.convict import blocked_of_path, core_of_path, core_of_search
from checkers.linear.explain import accusation, describe_event
from checkers.linear.paths.base import Decision
from checkers.linear.problem import Call, Problem, calls_of
from checkers.linear.search import Answer
from checkers.linear.segments import Segments
from checkers.linear.witness import linearization
from checkers.models import FailedCas, Model, show
from checkers.verdict import Status, Verdict

SLICE_STEPS_MAX: Final = 16_384


class Budget(NamedTuple):
    """What a check may use before it answers "unknown": search steps in all, configurations remembered at
    any one time (about 250 bytes each), and seconds (None: as many as it takes)."""

    steps: int
    configurations: int
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a check is; `steps` counts towards the budget."""

    keys_decided: int
    keys: int
    steps: int


class _Key:
    """One key: what a path said, or the search, made when its turn comes and dropped when it is decided."""

    def __init__(self, key: str | None, calls: list[Call], operations: list[Operation]) -> None:
        self.key = key
        self.calls = calls
        self.operations = operations
        self.decision: Decision | None = None
        self.search: Segments | None = None
        self.order: list[Call] | None = None
        self.spent_for = ""
        """Why it was given up, if it was."""


class Linearizable:
    """A `Checker`. HistoryError if the history is malformed or has operations that the model has not.

    `failed_cas`: whether a failed cas only did not happen ("ignore", as Knossos has it) or also says that the
    value was not the expected one ("observe", for stores that answered definitely, as in Porcupine's etcd
    logs; "mismatch": if that is its error). `steps`, `configurations` (remembered at any one time, about 250
    bytes each) and `seconds` by `clock` are the budget after which it answers "unknown"; with no `seconds`
    the verdict depends on the history alone.

    `progress` (it may also be set later) is told now and then how far a check is.

    `witness`: keep what is needed to give a linearization of each key (so nothing is forgotten on the way).

    `details` of a valid verdict, with `witness`: `linearization`, for each key the starts of its calls in a
    legal order. Of an invalid one: `key`; `explanation`, sentences; `operations`, the smallest part that is
    wrong; `minimal`, False if the budget for shrinking it ran out; `out_of`, more than there are `operations`
    if they are only the last of so many; `begins_as`, the state it begins in; `blocked_at`, the position of
    the completion that no order explains. Of an unknown one: `undecided`, with how many completions were
    explained for each key. Of any: `model`, `operations_judged`, `keys`, `keys_decided`, `steps`.
    """

    name = "linearizable"

    def __init__(
        self,
        model: Model,
        *,
        failed_cas: FailedCas = "ignore",
        steps: int = 20_000_000,
        configurations: int = 3_000_000,
        seconds: float | None = None,
        witness: bool = False,
        clock: Callable[[], float] = time.monotonic,
        progress: Callable[[Progress], None] | None = None,
    ) -> None:
        if failed_cas not in get_args(FailedCas):
            raise ValueError(f"failed_cas is one of {', '.join(get_args(FailedCas))}, not {failed_cas!r}")
        if min(steps, configurations, 1 if seconds is None else seconds) <= 0:
            raise ValueError(f"a budget is above 0, not {min(steps, configurations, seconds or 0)}")
        self._model = model
        self._failed_cas = failed_cas
        self._budget = Budget(steps, configurations, seconds)
        self._witness = witness
        self._clock = clock
        self.progress = progress

    def check(self, history: list[Op]) -> Verdict:
        keys = self._keys(history)
        run = _Run(self._model, self._budget, keys, self._witness, self._clock, self.progress)
        convicted = run.decide()
        if convicted is not None:
            return self._invalid(convicted, run)
        if run.given_up:
            return self._unknown(run)
        count = sum(len(key.calls) for key in keys)
        summary = (
            f"{_count(count, 'operation')} on {_count(len(keys), 'key')}: linearizable as {self._model.name}"
        )
        calls = chain.from_iterable(key.calls for key in keys)
        if all(call.end is None or self._model.blind(call.f, call.value) for call in calls):
            summary += ", but nobody was told anything that could have been wrong"
        details = self._figures(run)
        if self._witness:
            details["linearization"] = {key.key: [call.start for call in key.order or ()] for key in keys}
        return Verdict(self.name, Status.VALID, summary, details)

    def _keys(self, history: list[Op]) -> list[_Key]:
        groups: dict[str | None, list[Operation]] = {}
        for operation in pair(history):
            groups.setdefault(operation.invoke.key if self._model.keyed else None, []).append(operation)
        return [
            _Key(key, calls_of(operations, self._model, self._failed_cas), operations)
            for key, operations in groups.items()
        ]

    def _invalid(self, key: _Key, run: _Run) -> Verdict:
        if key.decision is not None:
            core = core_of_path(key.decision, self._model)
            blocked = blocked_of_path(key.decision, key.calls, self._model)
        else:
            assert key.search is not None
            number = key.search.blocked(key.calls)
            core = core_of_search(key.search, number, key.calls, self._model)
            blocked = key.search.problem.required[number]
        found = accusation(self._model, key.key, core, key.operations, key.calls)
        details = self._figures(run) | {
            "key": key.key,
            "explanation": found.sentences,
            "operations": found.operations,
            "minimal": core.minimal,
            "out_of": core.out_of or len(core.calls),
            "begins_as": core.initial,
            "blocked_at": blocked.end,
        }
        where = "" if key.key is None else f"key {key.key}: "
        return Verdict(self.name, Status.INVALID, where + found.sentences[0], details)

    def _unknown(self, run: _Run) -> Verdict:
        parts = []
        for key in run.given_up:
            search = key.search
            assert search is not None
            required = search.problem.required
            parts.append(
                {
                    "key": key.key,
                    "completions_explained": search.deepest,
                    "completions": len(required),
                    "steps": search.steps,
                    "blocked": describe_event(required[search.deepest]),
                    "reason": key.spent_for,
                }
            )
        hardest = max(run.given_up, key=lambda key: 0 if key.search is None else key.search.steps)
        first = parts[run.given_up.index(hardest)]
        summary = (
            f"{_count(len(parts), 'key')} of {len(run.keys)} undecided: {hardest.spent_for}; "
            f"on key {show(hardest.key)}, the first {first['completions_explained']} of "
            f"{first['completions']} completions are linearizable"
        )
        return Verdict(self.name, Status.UNKNOWN, summary, self._figures(run) | {"undecided": parts})

    def _figures(self, run: _Run) -> dict[str, Any]:
        return {
            "model": self._model.name,
            "operations_judged": sum(len(key.calls) for key in run.keys),
            "keys": len(run.keys),
            "keys_decided": run.decided,
            "steps": run.steps,
        }


class _Run:
    """One check's turns: round after round, each undecided key gets a slice of steps."""

    def __init__(
        self,
        model: Model,
        budget: Budget,
        keys: list[_Key],
        witness: bool,
        clock: Callable[[], float],
        progress: Callable[[Progress], None] | None,
    ) -> None:
        self.keys = keys
        self.decided = 0
        self.steps = 0
        self.given_up: list[_Key] = []
        self._model = model
        self._budget = budget
        self._witness = witness
        self._deadline = None if budget.seconds is None else clock() + budget.seconds
        self._clock = clock
        self._progress = progress

    def decide(self) -> _Key | None:
        """The first key found impossible, with its search, or None; `given_up` lists what is undecided."""
        waiting = self.keys
        grown = 1
        while waiting:
            undecided: list[_Key] = []
            for turn, key in enumerate(waiting):
                reason = self._spent()
                if reason:
                    self._give_up(undecided + waiting[turn:], reason)
                    return None
                answer = self._turn(key, grown)
                if answer is Answer.IMPOSSIBLE:
                    return key
                if answer is Answer.UNDECIDED:
                    undecided.append(key)
            waiting = self._within_memory(undecided)
            grown *= 4
        return None

    def _turn(self, key: _Key, grown: int) -> Answer:
        answer = Answer.UNDECIDED
        if key.search is None:
            answer = self._by_path(key)
        if answer is Answer.UNDECIDED:
            answer = self._by_search(key, grown)
        if answer is not Answer.UNDECIDED:
            self.decided += 1
        if self._progress is not None:
            self._progress(Progress(self.decided, len(self.keys), self.steps))
        return answer

    def _by_path(self, key: _Key) -> Answer:
        decision = by_path(key.calls, self._model)
        if decision is None:
            return Answer.UNDECIDED
        self.steps += len(key.calls)
        if decision.order is None:
            key.decision = decision
            return Answer.IMPOSSIBLE
        key.order = decision.order if self._witness else None
        return Answer.LINEARIZABLE

    def _by_search(self, key: _Key, grown: int) -> Answer:
        if key.search is None:
            key.search = Segments(Problem(key.calls, self._model), keep=self._witness)
        search = key.search
        before = search.steps
        slice_steps = min(SLICE_STEPS_MAX, (200 + 2 * len(key.calls)) * grown)
        answer = search.run(max(1, min(slice_steps, self._budget.steps - self.steps)))
        self.steps += search.steps - before
        if answer is Answer.LINEARIZABLE:
            if self._witness:
                key.order = linearization(search.problem, search.path)
            key.search = None
        return answer

    def _spent(self) -> str:
        if self.steps >= self._budget.steps:
            return f"the budget of {self._budget.steps:,} steps is used up"
        if self._deadline is not None and self._clock() >= self._deadline:
            return f"the budget of {self._budget.seconds:g} s is used up"
        return ""

    def _within_memory(self, keys: list[_Key]) -> list[_Key]:
        """Give up the largest searches until the others fit."""
        sizes = {id(key): 0 if key.search is None else key.search.configurations for key in keys}
        while keys and sum(sizes[id(key)] for key in keys) > self._budget.configurations:
            largest = max(keys, key=lambda key: sizes[id(key)])
            keys = [key for key in keys if key is not largest]
            self._give_up(
                [largest], f"the budget of {self._budget.configurations:,} configurations is used up"
            )
        return keys

    def _give_up(self, keys: list[_Key], reason: str) -> None:
        for key in keys:
            if key.search is None:
                key.search = Segments(Problem(key.calls, self._model))
            key.search.forget()
            key.spent_for = reason
        self.given_up += keys


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
