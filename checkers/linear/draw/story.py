"""What a verdict of the linearizability checker tells, ready to be drawn.

Left out on purpose: verdicts that were merged from several (draw their parts), and orders of operations that
were not shrunk to a part that is wrong by itself, because others that matter may be missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, Final, NamedTuple

import msgspec

from checkers.history import HistoryError, Op, Operation, Type, pair
from checkers.linear.draw.orders import CONFIGURATIONS_MAX, Order, Partial, Step, partial_orders
from checkers.linear.draw.words import duration, named, refusal, sentence
from checkers.linear.explain import describe_event
from checkers.linear.problem import Call, calls_of
from checkers.models import ILLEGAL, MODELS, Model, State, frozen, show
from checkers.verdict import Status, Verdict

DRAWN_MAX: Final = 200
"""So many operations of a linearization are drawn."""

_OUTCOMES: Final = {
    "ok": "acknowledged",
    "fail": "refused, which says something about the state",
    "info": "unknown: it may have happened at any time after it began, or not at all",
}


class Told(msgspec.Struct, frozen=True):
    """An operation as `checkers.linear.explain.describe_event` gives it."""

    process: int | str
    f: str
    value: Any
    outcome: Type
    start: int
    end: int | None
    key: str | None = None
    error: Any = None
    invoked_ns: int = -1
    completed_ns: int = -1
    open_at_the_end: bool = False

    @property
    def last(self) -> int | None:
        """The position of its completion; None if it may take effect at any later time."""
        return None if self.open_at_the_end else self.end

    def call(self, model: Model) -> Call | None:
        """As the model sees it, or None if it says nothing to it."""
        invoke = Op(process=self.process, f=self.f, key=self.key, value=self.value)
        done = None
        if self.end is not None:
            done = msgspec.structs.replace(invoke, type=self.outcome, error=self.error)
        operation = Operation(invoke, done, self.start, self.end)
        found = calls_of([operation], model, "observe")
        return found[0]._replace(end=self.last) if found else None

    def facts(self) -> list[tuple[str, str]]:
        """Names and values, in words."""
        key = [] if self.key is None else [("key", self.key)]
        outcome = _OUTCOMES[self.outcome]
        if self.open_at_the_end and self.outcome == "ok":
            outcome = "acknowledged only after the part of the history that is shown"
        facts = [("process", str(self.process)), *key, ("outcome", outcome)]
        if self.error is not None:
            facts.append(("error", str(self.error)))
        begin = f"event {self.start}" + (f", {self.invoked_ns / 1e9:.6f} s" if self.invoked_ns >= 0 else "")
        facts.append(("began", begin))
        if self.last is not None:
            timed = self.invoked_ns >= 0 and self.completed_ns >= 0
            end = f", {self.completed_ns / 1e9:.6f} s" if timed else ""
            took = f", {duration(max(0, self.completed_ns - self.invoked_ns))} later" if timed else ""
            facts.append(("ended", f"event {self.last}{end}{took}"))
        return facts


class Shown(NamedTuple):
    """A heading, the orders under it, and what else is to say about them."""

    heading: str
    orders: tuple[Order, ...]
    remark: str = ""


class Undecided(msgspec.Struct, frozen=True):
    """A key that was given up, as the checker's details tell it."""

    key: str | None
    completions_explained: int
    completions: int
    blocked: Told
    reason: str
    steps: int = 0


@dataclass(frozen=True, slots=True)
class Story:
    """`said`: sentences, the headline first. `notes`: what is not so, or not known. `listed`: the operations
    in words. `operations` by start, and numbered so; `labels` and `shown`, what is told of each, go with
    them. `accused`: which one is impossible. `begin`: the state before any. `first`: what is shown before one
    is chosen."""

    status: Status
    said: tuple[str, ...]
    notes: tuple[str, ...]
    listed: tuple[str, ...] = ()
    operations: tuple[Told, ...] = ()
    labels: tuple[str, ...] = ()
    shown: tuple[tuple[Shown, ...], ...] = ()
    first: tuple[Shown, ...] = ()
    accused: int | None = None
    begin: State = None
    model: Model | None = None
    undecided: tuple[Undecided, ...] = ()

    @property
    def begins_as(self) -> str:
        return show(self.begin)

    def stuck(self, number: int, state: State) -> str:
        """Why that operation cannot come next."""
        assert self.model is not None
        call = self.operations[number].call(self.model)
        assert call is not None
        return refusal(self.model, call, state)


def story(verdict: Verdict, history: Sequence[Op] = (), model: Model | None = None) -> Story:
    """`history` is needed for the operations of a linearization; `model` is the one that judged, if it is not
    what `MODELS` has under its name."""
    if model is None and (made := MODELS.get(str(verdict.details.get("model")))) is not None:
        model = made()
    if verdict.status is Status.INVALID:
        return _invalid(verdict, model)
    if verdict.status is Status.UNKNOWN:
        return _unknown(verdict, model)
    return _valid(verdict, history, model)


# Invalid ------------------------------------------------------------------------------------------------


def _invalid(verdict: Verdict, model: Model | None) -> Story:
    details = verdict.details
    sentences = [str(each) for each in details.get("explanation") or [verdict.summary]]
    said = tuple(sentence(each) for each in sentences if not each.startswith(" "))
    listed = tuple(sentence(each) for each in sentences if each.startswith(" "))
    try:
        told = msgspec.convert(details.get("operations", []), list[Told])
    except msgspec.ValidationError:
        told = []
    if not told:
        return Story(verdict.status, said, ("The verdict does not name the operations.",), listed)
    told.sort(key=_start)
    accused = _accused(told, details.get("blocked_at"))
    partial, note = _partial(told, details, model, accused)
    labels = tuple(named(each.f, each.value, each.outcome, model) for each in told)
    shown: tuple[tuple[Shown, ...], ...] = tuple(() for _ in told)
    if partial is not None:
        shown = tuple(_places(partial, number, accused) for number in range(len(told)))
    return Story(
        verdict.status,
        said,
        (note,) if note else (),
        listed,
        tuple(told),
        labels,
        shown,
        () if accused is None else shown[accused],
        accused,
        _begins_as(details, model),
        model,
    )


def _accused(told: Sequence[Told], blocked_at: Any) -> int | None:
    """The operation whose completion no order explains: it is named, or else the last to end."""
    ended = sorted((each.last, number) for number, each in enumerate(told) if each.last is not None)
    blocked = [number for last, number in ended if last == blocked_at]
    return blocked[0] if blocked else ended[-1][1] if ended else None


def _partial(
    told: Sequence[Told], details: Mapping[str, Any], model: Model | None, accused: int | None
) -> tuple[Partial | None, str]:
    """The partial linearizations and a remark on them; None and the reason if they cannot be had."""
    if model is None:
        return None, f"No partial orders: the model {details.get('model')} is not at hand."
    if not details.get("minimal", False):
        return None, (
            "No partial orders: the budget for shrinking ran out, so this is only a part of what "
            "contradicts itself, and operations that matter may be missing."
        )
    try:
        calls = [each.call(model) for each in told]
        known = [call for call in calls if call is not None]
        partial = partial_orders(known, model, _begins_as(details, model), accused)
    except (HistoryError, TypeError, AttributeError, ValueError):
        return None, f"No partial orders: the model {model.name} does not understand these operations."
    if partial.complete or len(known) < len(told):
        return (
            None,
            f"No partial orders: these operations do not contradict the model {model.name} as it is here.",
        )
    if partial.cut:
        return partial, (
            f"Only {CONFIGURATIONS_MAX:,} partial orders were tried; there are others, perhaps longer ones."
        )
    return partial, ""


def _begins_as(details: Mapping[str, Any], model: Model | None) -> State:
    """The state as the model has it, also where it went through JSON."""
    initial = None if model is None else model.initial
    begins_as = details.get("begins_as", initial)
    if isinstance(initial, frozenset):
        return frozenset(map(frozen, begins_as))
    return begins_as if isinstance(begins_as, tuple) else frozen(begins_as)


def _places(partial: Partial, number: int, accused: int | None) -> tuple[Shown, ...]:
    places = partial.places[number]
    refusing = Shown(
        "The longest orders of the others that end before it",
        places.refusing,
        _more(places.refusing_states, len(places.refusing), partial.cut),
    )
    fitting = Shown(
        "Where it fits, but another operation has no place then"
        if number == accused
        else "The longest orders with it",
        places.fitting,
        _more(places.fitting_states, len(places.fitting), partial.cut),
    )
    wanted = [refusing, fitting] if number == accused else [fitting] if fitting.orders else [refusing]
    return tuple(each for each in wanted if each.orders)


def _more(states: int, shown: int, cut: bool) -> str:
    if states <= 1:
        return ""
    number = f"at least {states:,}" if cut else f"{states:,}"
    rest = "this is one for each" if states == shown else f"{shown} are shown"
    return f"There are orders that lead to {number} different states before it; {rest}."


# Valid --------------------------------------------------------------------------------------------------


def _valid(verdict: Verdict, history: Sequence[Op], model: Model | None) -> Story:
    said = (sentence(verdict.summary),)
    found = verdict.details.get("linearization")
    if found is None or not history or model is None:
        return Story(verdict.status, said, ("There is no linearization to draw: it was not asked for.",))
    if not any(found.values()):
        return Story(verdict.status, said, ("No operation says anything about the state.",))
    every = {each.start: each for each in pair(history)}
    chosen = _chosen(found)
    starts = sorted(start for order in chosen.values() for start in order)
    number = dict(zip(starts, count(), strict=False))
    told = tuple(_told(every[start], model) for start in starts)
    labels = tuple(_label(each, model, len(chosen) > 1) for each in told)
    first, of = [], [()] * len(told)  # type: list[Shown], list[tuple[Shown, ...]]
    for key, order in chosen.items():
        steps = _replayed([(number[start], told[number[start]]) for start in order], model)
        if len(steps) < len(order):
            return Story(verdict.status, said, (f"The linearization does not fit the model {model.name}.",))
        thing = "" if key is None else f" of key {key}"
        rest = (
            f", its first {len(order)} of {len(found[key]):,} operations"
            if len(order) < len(found[key])
            else ""
        )
        shown = Shown(f"A linearization{thing}{rest}", (Order(steps, len(steps), ()),))
        first.append(shown)
        for at, step in enumerate(steps):
            of[step.call] = (shown._replace(orders=(Order(steps, at, ()),)),)
    left = sum(map(len, found.values())) - len(starts)
    notes = (f"{left:,} more operations are not drawn.",) if left else ()
    return Story(
        verdict.status, said, notes, (), told, labels, tuple(of), tuple(first), None, model.initial, model
    )


def _chosen(found: Mapping[str | None, Sequence[int]]) -> dict[str | None, Sequence[int]]:
    """Whole keys up to `DRAWN_MAX` operations; of the first one alone, as many as that."""
    chosen: dict[str | None, Sequence[int]] = {}
    room = DRAWN_MAX
    for key, order in found.items():
        if order and (len(order) <= room or not chosen):
            chosen[key] = order[:room]
            room -= len(chosen[key])
    return chosen


def _told(operation: Operation, model: Model) -> Told:
    (call,) = calls_of([operation], model, "observe")
    return msgspec.convert(describe_event(call), Told)


def _label(told: Told, model: Model, with_key: bool) -> str:
    label = named(told.f, told.value, told.outcome, model)
    return label if not with_key else f"{told.key}: {label}"


def _replayed(order: Iterable[tuple[int, Told]], model: Model) -> tuple[Step, ...]:
    """As far as it is legal."""
    steps = []
    state = model.initial
    for number, each in order:
        call = each.call(model)
        state = ILLEGAL if call is None else model.step(state, call.f, call.value)
        if state is ILLEGAL:
            break
        steps.append(Step(number, state))
    return tuple(steps)


# Unknown ------------------------------------------------------------------------------------------------


def _unknown(verdict: Verdict, model: Model | None) -> Story:
    try:
        undecided = msgspec.convert(verdict.details.get("undecided", []), tuple[Undecided, ...])
    except msgspec.ValidationError:
        undecided = ()
    notes = () if undecided else ("The verdict does not say how far the checker got.",)
    return Story(verdict.status, (sentence(verdict.summary),), notes, model=model, undecided=undecided)


def _start(told: Told) -> int:
    return told.start
