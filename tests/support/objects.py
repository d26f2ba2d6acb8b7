"""Objects used by concurrent clients, correctly or with some lies: histories for each model, as recorded."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import Any

from checkers.history import Op
from checkers.linear.problem import Call
from checkers.models import (
    ILLEGAL,
    AppendLog,
    Counter,
    Model,
    PriorityQueue,
    Set,
    UnorderedQueue,
)
from checkers.models.queues import _Ordered

LOST = object()
"""It crashes without having taken effect."""


def recorded(
    rng: Random,
    model: Model,
    fs: Sequence[str],
    operations: int,
    clients: int = 4,
    crashes: float = 0.1,
    lies: float = 0.05,
    elements: int = 4,
) -> list[Op]:
    """`operations` of the kinds `fs`. Each takes effect at some moment between its events; a few crash before
    or after that, or are answered with what another one should have been. Sets are of so many `elements`."""
    using = _Using(rng, model, operations, elements)
    events: list[Op] = []
    free = list(range(clients))
    asked: dict[int, Op] = {}
    done: dict[int, Any] = {}
    begun = 0
    while begun < operations or asked:
        waiting = [process for process in asked if process not in done]
        moves = ["done"] * bool(done) + ["applied"] * bool(waiting)
        if begun < operations and free:
            moves.append("begun")
        move = rng.choice(moves)
        if move == "begun":
            process = free.pop(rng.randrange(len(free)))
            begun += 1
            op = Op(len(events), len(events), process, "invoke", *using.asks(rng.choice(fs)))
            asked[process] = op
            events.append(op)
        elif move == "applied":
            process = waiting[rng.randrange(len(waiting))]
            lost = rng.random() < crashes / 2
            done[process] = LOST if lost else using.answer(asked[process])
        else:
            process = list(done)[rng.randrange(len(done))]
            answer, op = done.pop(process), asked.pop(process)
            crashed = answer is LOST or rng.random() < crashes / 2
            if not crashed and rng.random() < lies:
                answer = using.lie(op, answer)
            kind, value = ("info", op.value) if crashed else ("ok", answer)
            events.append(Op(len(events), len(events), process, kind, op.f, None, value))  # type: ignore[arg-type]
            free.append(process + clients if crashed else process)
    return events


class _Using:
    def __init__(self, rng: Random, model: Model, operations: int, elements: int) -> None:
        self.rng = rng
        self.model = model
        self.state = model.initial
        self.fresh = list(range(1, operations + 1))
        self.elements = elements
        self.answers: dict[str, list[Any]] = {}
        if isinstance(model, PriorityQueue):
            rng.shuffle(self.fresh)

    def asks(self, f: str) -> tuple[str, None, Any]:
        if isinstance(self.model, Set):
            element = self.rng.randint(1, self.elements)
            return f, None, {"read": None, "contains": [element, None]}.get(f, element)
        if isinstance(self.model, Counter):
            return f, None, 1 if f == "add" else None
        return f, None, self.fresh.pop() if f in ("enqueue", "push", "insert", "append") else None

    def answer(self, op: Op) -> Any:
        """The right one; takes effect."""
        value = self._right(op)
        frozen = tuple(value) if isinstance(value, list) else value
        self.state = self.model.step(self.state, op.f, frozen)
        assert self.state is not ILLEGAL
        self.answers.setdefault(op.f, []).append(value)
        return value

    def _right(self, op: Op) -> Any:
        if op.f not in self.model.answers:
            return op.value
        if isinstance(self.model, Set):
            return [op.value[0], op.value[0] in self.state] if op.f == "contains" else sorted(self.state)
        if isinstance(self.model, Counter):
            return self.state
        if isinstance(self.model, AppendLog):
            shown = len(self.state) if op.f == "read" else self.rng.randint(0, len(self.state))
            return list(self.state[:shown])
        if not self.state:
            return None
        if isinstance(self.model, UnorderedQueue):
            return sorted(self.state)[self.rng.randrange(len(self.state))]
        assert isinstance(self.model, _Ordered)
        return self.model.take(self.state)[0]

    def lie(self, op: Op, answer: Any) -> Any:
        if op.f not in self.model.answers:
            return answer
        if op.f == "contains":
            return [answer[0], not answer[1]]
        return self.rng.choice(self.answers[op.f])


def check_order(order: Sequence[Call], calls: Sequence[Call], model: Model) -> None:
    """`order` is a linearization of `calls`: in O(n), knowing nothing of how it was found."""
    placed = {id(call) for call in order}
    assert len(placed) == len(order)
    assert placed <= {id(call) for call in calls}
    assert all(id(call) in placed for call in calls if call.end is not None)
    state = model.initial
    latest_start = -1
    for call in order:
        state = model.step(state, call.f, call.value)
        assert state is not ILLEGAL, call
        latest_start = max(latest_start, call.start)
        assert call.end is None or latest_start < call.end, call
