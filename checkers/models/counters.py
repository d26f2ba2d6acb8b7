"""Counters."""

from __future__ import annotations

from checkers.models.base import ILLEGAL, Illegal, Model, State, Value, show


class Counter(Model):
    """One number. `add` has the amount as its value, which may be negative; `fetch-and-increment` adds one
    and is answered with the number *before*."""

    name = "counter"
    summary = "add, read and fetch-and-increment (answered with the number before) of one number"
    operations = frozenset({"add", "read", "fetch-and-increment"})
    answers = frozenset({"read", "fetch-and-increment"})

    def __init__(self, initial: int = 0) -> None:
        self.initial = initial

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == "add":
            return state + value
        if value != state:
            return ILLEGAL
        return state if f == "read" else state + 1

    def pure(self, f: str, value: Value) -> bool:
        return f == "read" or (f == "add" and value == 0)

    def leaves(self, f: str, value: Value) -> State | Illegal:
        return value + 1 if f == "fetch-and-increment" and value is not None else ILLEGAL

    def needs(self, f: str, value: Value) -> State | Illegal:
        return ILLEGAL if f == "add" or value is None else value

    def unanswered(self, f: str, value: Value) -> tuple[str, Value] | None:
        return ("add", 1) if f == "fetch-and-increment" else super().unanswered(f, value)

    def malformed(self, f: str, value: Value) -> str | None:
        if (isinstance(value, int) and not isinstance(value, bool)) or (value is None and f != "add"):
            return None
        return f"the value of {'an' if f == 'add' else 'a'} {f} is a whole number, not {show(value)}"

    def in_words(self, f: str, value: Value) -> str:
        if f == "fetch-and-increment":
            return f"incremented it from {show(value)}"
        return f"added {show(value)}" if f == "add" else f"read {show(value)}"
