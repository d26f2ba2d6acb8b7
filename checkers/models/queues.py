"""Collections that give back each value once: queues, the stack, the priority queue.

The answer of a removal is the value it took, or nil if it found nothing. A removal that crashed may have
taken whatever was next, or nothing: it is an operation of its own, `unseen`, which no history has.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect
from dataclasses import dataclass
from typing import ClassVar, Final, NamedTuple

from checkers.models.base import ILLEGAL, Illegal, Model, State, Value, show

UNSEEN: Final = "unseen"
"""A removal whose answer nobody saw."""


class _Ordered(Model):
    """What is in it, as a tuple in the order in which it will be taken, or the reverse."""

    initial: State = ()
    insert: ClassVar[str]
    remove: ClassVar[str]
    place: ClassVar[str] = ""
    """Where a value goes to, in words."""

    def __init_subclass__(cls) -> None:
        cls.operations = frozenset({cls.insert, cls.remove})
        cls.answers = frozenset({cls.remove})

    @abstractmethod
    def put(self, state: State, value: Value) -> State: ...

    @abstractmethod
    def take(self, state: State) -> tuple[Value, State]:
        """Of a state that is not empty: what is taken, and what is left."""

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == self.insert:
            return self.put(state, value)
        if not state:
            return state if f == self.remove and value is None else ILLEGAL
        taken, left = self.take(state)
        return left if f == UNSEEN or (value is not None and taken == value) else ILLEGAL

    def pure(self, f: str, value: Value) -> bool:
        return f == self.remove and value is None

    def leaves(self, f: str, value: Value) -> State | Illegal:
        return () if self.pure(f, value) else ILLEGAL

    def needs(self, f: str, value: Value) -> State | Illegal:
        return () if self.pure(f, value) else ILLEGAL

    def unanswered(self, f: str, value: Value) -> tuple[str, Value] | None:
        return (UNSEEN, None) if f == self.remove else (f, value)

    def malformed(self, f: str, value: Value) -> str | None:
        return _not_nil(self.insert, f, value)

    def in_words(self, f: str, value: Value) -> str:
        return _told(self.insert, f, value)


class FifoQueue(_Ordered):
    """First in, first out."""

    name = "fifo-queue"
    summary = "enqueue and dequeue, first in first out; a dequeue answered nil found it empty"
    insert = "enqueue"
    remove = "dequeue"

    def put(self, state: State, value: Value) -> State:
        return (*state, value)

    def take(self, state: State) -> tuple[Value, State]:
        return state[0], state[1:]


class Stack(_Ordered):
    """Last in, first out."""

    name = "stack"
    summary = "push and pop, last in first out; a pop answered nil found it empty"
    insert = "push"
    remove = "pop"

    def put(self, state: State, value: Value) -> State:
        return (*state, value)

    def take(self, state: State) -> tuple[Value, State]:
        return state[-1], state[:-1]


class PriorityQueue(_Ordered):
    """Smallest first. Values are numbers; equal ones are interchangeable."""

    name = "priority-queue"
    summary = "insert and delete-min of numbers; a delete-min answered nil found it empty"
    insert = "insert"
    remove = "delete-min"

    def put(self, state: State, value: Value) -> State:
        at = bisect(state, value)
        return (*state[:at], value, *state[at:])

    def take(self, state: State) -> tuple[Value, State]:
        return state[0], state[1:]

    def malformed(self, f: str, value: Value) -> str | None:
        if (value is None and f == self.remove) or (
            isinstance(value, (int, float)) and not isinstance(value, bool) and value == value
        ):
            return None
        return f"the value of {_article(f)} is a number, not {show(value)}"


@dataclass(frozen=True, slots=True)
class Copies:
    """Several times the same value in an unordered queue."""

    value: Value
    count: int

    def __str__(self) -> str:
        return f"{show(self.value)} x{self.count}"


class Drained(NamedTuple):
    """An unordered queue from which so many values, nobody knows which, were taken since."""

    queue: frozenset[Value]
    taken: int


class UnorderedQueue(Model):
    """A dequeue takes any of the values that are in it. A state is a frozenset.

    Which value a crashed dequeue took need not be chosen: whatever it took may as well have been taken right
    before the next dequeue that found nothing. So after one, the only legal steps are more of them and a
    dequeue that finds nothing, for which all that is in there must have been taken."""

    name = "unordered-queue"
    summary = "enqueue and dequeue in any order; a dequeue answered nil found it empty"
    operations = frozenset({"enqueue", "dequeue"})
    answers = frozenset({"dequeue"})
    initial: State = frozenset()

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        queue, taken = state if isinstance(state, Drained) else (state, 0)
        size = sum(each.count if isinstance(each, Copies) else 1 for each in queue)
        if f == UNSEEN:
            return Drained(queue, taken + 1) if taken < size else ILLEGAL
        if f == "dequeue" and value is None:
            return frozenset() if size == taken else ILLEGAL
        return ILLEGAL if taken else _changed(queue, value, 1 if f == "enqueue" else -1)

    def leaves(self, f: str, value: Value) -> State | Illegal:
        return frozenset() if f == "dequeue" and value is None else ILLEGAL

    def unanswered(self, f: str, value: Value) -> tuple[str, Value] | None:
        return (UNSEEN, None) if f == "dequeue" else (f, value)

    def malformed(self, f: str, value: Value) -> str | None:
        return _not_nil("enqueue", f, value)

    def in_words(self, f: str, value: Value) -> str:
        return _told("enqueue", f, value)


def _changed(queue: frozenset[Value], value: Value, by: int) -> State | Illegal:
    for each in queue:
        if isinstance(each, Copies) and each.value == value:
            rest = queue - {each}
            count = each.count + by
            return rest | {value if count == 1 else Copies(value, count)}
    if value in queue:
        rest = queue - {value}
        return rest | {Copies(value, 2)} if by > 0 else rest
    return queue | {value} if by > 0 else ILLEGAL


def _not_nil(insert: str, f: str, value: Value) -> str | None:
    return f"the value of {_article(f)} is something, not nil" if f == insert and value is None else None


def _article(f: str) -> str:
    return f"{'an' if f[0] in 'aeiou' else 'a'} {f}"


def _told(insert: str, f: str, value: Value) -> str:
    if f == UNSEEN:
        return "took whatever was next"
    if f != insert and value is None:
        return f"did {f} and found nothing"
    return {"enqueue": "enqueued", "dequeue": "dequeued", "push": "pushed", "pop": "popped",
            "insert": "inserted", "delete-min": "took"}[f] + f" {show(value)}"  # fmt: skip
