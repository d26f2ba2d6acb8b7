"""From "impossible" to the few calls that show it, however long the history was.

A short history is given whole to the minimizer. Of a long one it gets a part that convicts by itself: the
calls that contradict each other, where a path named them; else the last stretch before the impossible return,
begun in the one state that every order leads to.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkers.linear.auto import by_path
from checkers.linear.minimize import Core, Minimizer, cut
from checkers.linear.paths.base import Decision
from checkers.linear.problem import Call, Problem
from checkers.linear.rules import Config
from checkers.linear.search import Answer, Search
from checkers.linear.segments import Segments
from checkers.linear.sweep import Sweep
from checkers.models import ILLEGAL, Model, State

MINIMIZE_STEPS: Final = 300_000
WHOLE: Final = 150
"""So many calls are minimized as they are,"""
WHOLE_AT_MOST: Final = 2_000
"""and so many if nothing else is found."""
STRETCHES: Final = (1024, 256, 64, 16)
"""How many returns before the impossible one a stretch may begin."""
TRIES: Final = 24
"""From there on, so many returns are looked at for one with a single state."""
STRETCH_STEPS: Final = 600_000
SHOWN: Final = 100
"""A part that was not minimized names so many calls."""


def core_of_search(search: Segments, number: int, calls: Sequence[Call], model: Model) -> Core:
    """`search` found the return of required call `number` impossible."""
    blocked = search.problem.required[number]
    if len(calls) > WHOLE:
        short = cut(calls, blocked, model)
        if len(short) > WHOLE:
            core = _alone(blocked, short, model) or _overwritten(blocked, short, model)
            return core or _stretch(search, number, model) or _last_of(short, blocked, model.initial, 0)
    return Minimizer(model, MINIMIZE_STEPS).core(calls, blocked)


def core_of_path(decision: Decision, model: Model) -> Core:
    """Of the calls that a path named."""
    calls = sorted(decision.core, key=_start)
    elsewhere = decision.begins_as is not ILLEGAL
    begun = max(1, calls[0].start) if elsewhere else 0
    initial = decision.begins_as if elsewhere else model.initial
    if len(calls) <= WHOLE_AT_MOST:
        search = Search(Problem(calls, model, initial))
        if search.run(MINIMIZE_STEPS) is Answer.IMPOSSIBLE:
            last = search.problem.required[search.deepest]
            core = Minimizer(model, MINIMIZE_STEPS).core(calls, last, initial, begun)
            return core._replace(quiet=core.begun != begun)
    return _last_of(calls, max(calls, key=lambda call: -1 if call.end is None else call.end), initial, begun)


def _last_of(calls: Sequence[Call], blocked: Call, initial: State, begun: int) -> Core:
    """The last of too many calls, `blocked` among them."""
    others = [call for call in calls if call is not blocked][1 - SHOWN :]
    shown = sorted([*others, blocked], key=_start)
    return Core(shown, initial, begun, minimal=False, quiet=False, out_of=len(calls))


def blocked_of_path(decision: Decision, calls: Sequence[Call], model: Model) -> Call:
    """The required call at whose return the shortest wrong beginning ends: the path's word, or by bisection
    with the paths themselves, from the last return of the core backwards."""
    if decision.blocked is not None:
        return decision.blocked
    required = sorted((call for call in calls if call.end is not None), key=_end)
    convicted = max((call for call in decision.core if call.end is not None), key=_end, default=required[-1])
    low, high = 0, next(index for index, call in enumerate(required) if call.end == convicted.end)
    stride = 1
    while low < high:
        middle = max((low + high) // 2, high - stride)
        stride *= 4
        shorter = by_path(cut(calls, required[middle], model), model)
        if shorter is None:
            break
        if shorter.order is None:
            high = middle
        else:
            low = middle + 1
    return required[high]


def _alone(blocked: Call, calls: Sequence[Call], model: Model) -> Core | None:
    """The impossible call by itself, if nothing that anybody did can have led to what it needs."""
    needed = model.needs(blocked.f, blocked.value)
    if needed is ILLEGAL or needed == model.initial:
        return None
    for call in calls:
        if not model.pure(call.f, call.value) and model.leaves(call.f, call.value) in (needed, ILLEGAL):
            return None
    return Core([blocked], model.initial, 0, minimal=True)


def _overwritten(blocked: Call, calls: Sequence[Call], model: Model) -> Core | None:
    """The impossible call, one that had overwritten what it needs, and whoever may have brought that; None
    if those do not contradict each other, or if a call that is not blind might have seen the difference."""
    needed = model.needs(blocked.f, blocked.value)
    rest = [call for call in calls if not model.pure(call.f, call.value)]
    if needed is ILLEGAL or not all(model.blind(call.f, call.value) for call in rest):
        return None
    others = [call for call in rest if model.leaves(call.f, call.value) != needed]
    before = [call for call in others if call.end is not None and call.end < blocked.start]
    if not before:
        return None
    change = max(before, key=_start)
    same = [call for call in rest if model.leaves(call.f, call.value) == needed]
    shielded = [call for call in same if call.end is not None and call.end < change.start]
    kept = [call for call in same if call.end is None or call.end > change.start]
    kept += [change, blocked, *([max(shielded, key=_end)] if shielded else [])]
    if len(kept) > WHOLE or Search(Problem(kept, model)).run(MINIMIZE_STEPS) is not Answer.IMPOSSIBLE:
        return None
    return Minimizer(model, MINIMIZE_STEPS).core(sorted(kept, key=_start), blocked)


def _stretch(search: Segments, blocked: int, model: Model) -> Core | None:
    """The shortest stretch, found by going over the last segment again, that is impossible as it stands."""
    problem = search.problem
    begun, starts = search.mark(STRETCHES[0])
    steps = STRETCH_STEPS
    found: list[tuple[int, list[Config]]] = []
    for length in STRETCHES:
        for p in range(max(begun + 1, blocked - length), max(begun + 1, blocked - length) + TRIES):
            if p >= blocked:
                break
            sweep = Sweep(problem, starts, until=p)
            answer = sweep.run(steps)
            steps -= sweep.steps
            if answer is not Answer.LINEARIZABLE:
                return _shortest(problem, blocked, found, model)
            starts, begun = sweep.ends, p
            if len({config[3] for config in starts}) == 1:
                found.append((p, starts))
                break
    return _shortest(problem, blocked, found, model)


def _shortest(
    problem: Problem, blocked: int, found: Sequence[tuple[int, list[Config]]], model: Model
) -> Core | None:
    last = problem.required[blocked]
    for p, ends in reversed(found):
        state = problem.table.states[ends[0][3]]
        rest = _rest(problem, p, max(config[0] for config in ends), model)
        shorter = cut(rest, last, model)
        again = Search(Problem(shorter, model, state))
        if again.run(MINIMIZE_STEPS) is Answer.IMPOSSIBLE:
            begun = problem.required[p - 1].end
            assert begun is not None
            core = Minimizer(model, MINIMIZE_STEPS).core(shorter, last, state, begun)
            return core._replace(quiet=core.begun != begun)
    return None


def _rest(problem: Problem, p: int, furthest: int, model: Model) -> list[Call]:
    """The calls that need not have happened yet after `p` returns, where some order may have gone as far as
    the calls open at return `furthest`: those are optional in the rest."""
    assert furthest < len(problem.required)
    known = problem.required[furthest].end
    assert known is not None
    rest = [call for call in problem.required[p:] if call.start > known]
    for call in problem.required[p:]:
        if call.start < known and not model.pure(call.f, call.value):
            rest.append(call._replace(end=None))
    return sorted(rest + problem.optional, key=_start)


def _end(call: Call) -> int:
    assert call.end is not None
    return call.end


def _start(call: Call) -> int:
    return call.start
