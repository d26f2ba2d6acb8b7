"""Small histories: a tiny notation, a Hypothesis strategy, and the naive oracle for linearizability."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hypothesis import strategies as st

from checkers.history import Op
from checkers.linear.problem import Call
from checkers.models import ILLEGAL, Model, State

TYPES = {"(": "invoke", ")": "ok", "x": "fail", "?": "info"}


def history(text: str) -> list[Op]:
    """`0(w1 1(r 0)w1 1)r1`: process, event (`(` invoke, `)` ok, `x` fail, `?` info), operation, value.
    Operations are w, r, c (cas, as c12), a and l (acquire, release); a value is one digit or none."""
    return [_event(index, word) for index, word in enumerate(text.split())]


def _event(index: int, word: str) -> Op:
    process, kind, f, digits = word[0], word[1], word[2], word[3:]
    name = {"w": "write", "r": "read", "c": "cas", "a": "acquire", "l": "release"}[f]
    value: Any = [int(digit) for digit in digits] if f == "c" else int(digits) if digits else None
    return Op(index, index * 1_000_000, int(process), TYPES[kind], name, None, value)  # type: ignore[arg-type]


@st.composite
def histories(
    draw: st.DrawFn, asked: Sequence[tuple[str, Any]], answers: Sequence[Any], size: int = 6
) -> list[Op]:
    """Well-formed histories of at most `size` operations. `asked` are invocations (f and value); one whose
    value is None is answered with one of `answers`."""
    events: list[Op] = []
    busy: dict[int, Op] = {}
    begun = 0
    names = list(range(draw(st.integers(1, 4))))
    for _ in range(draw(st.integers(1, 2 * size))):
        slot = draw(st.integers(0, len(names) - 1))
        process = names[slot]
        if process in busy:
            op = busy.pop(process)
            kind = draw(st.sampled_from(["ok", "ok", "ok", "ok", "fail", "info"]))
            value = draw(st.sampled_from(answers)) if op.value is None and kind == "ok" else op.value
            events.append(Op(len(events), len(events), process, kind, op.f, None, value))
            if kind == "info":
                names[slot] += 10
        elif begun < size:
            begun += 1
            f, value = draw(st.sampled_from(asked))
            busy[process] = Op(len(events), len(events), process, "invoke", f, None, value)
            events.append(busy[process])
    return events


def can_be_linearized(calls: Iterable[Call], model: Model, initial: State | None = None) -> bool:
    """By trying every order: each call may come next if no other one that is still to come ended before it
    began; it is done when only optional calls remain."""
    return _some_order(list(calls), model.initial if initial is None else initial, model)


def _some_order(calls: list[Call], state: Any, model: Model) -> bool:
    if all(call.end is None for call in calls):
        return True
    first_end = min(call.end for call in calls if call.end is not None)
    for number, call in enumerate(calls):
        if call.start < first_end:
            after = model.step(state, call.f, call.value)
            if after is not ILLEGAL and _some_order(calls[:number] + calls[number + 1 :], after, model):
                return True
    return False
