"""Sets."""

from __future__ import annotations

from typing import Final

from checkers.models.base import ILLEGAL, Illegal, Model, State, Value, show

SHOWED: Final = "showed"
"""What a read says of a few elements alone, as an operation of its own, which no history has: the elements
present and those absent, two lists."""


class Set(Model):
    """Elements, added and removed; either is legal whether or not the element was there. `contains` asks for
    [element nil] and is answered with [element true] or [element false]; `read` is answered with the whole,
    in any order, where nil is the empty set. A state is a frozenset."""

    name = "set"
    summary = "add, remove, contains (answered [element true]) and read (of the whole) of a set"
    operations = frozenset({"add", "remove", "contains", "read"})
    answers = frozenset({"contains", "read"})
    initial: State = frozenset()

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == "add":
            return state if value in state else state | {value}
        if f == "remove":
            return state - {value} if value in state else state
        if f == "contains":
            element, answer = value
            return state if answer is None or (element in state) == answer else ILLEGAL
        if f == SHOWED:
            present, absent = value
            return state if state.issuperset(present) and state.isdisjoint(absent) else ILLEGAL
        return state if frozenset(value or ()) == state else ILLEGAL

    def pure(self, f: str, value: Value) -> bool:
        return f in ("contains", "read", SHOWED)

    def needs(self, f: str, value: Value) -> State | Illegal:
        return frozenset(value or ()) if f == "read" else ILLEGAL

    def malformed(self, f: str, value: Value) -> str | None:
        if f == "contains" and not (
            isinstance(value, tuple) and len(value) == 2 and value[1] in (True, False, None)
        ):
            return f"the value of a contains is [element nil], or answered [element true], not {show(value)}"
        if f == "read" and not (value is None or isinstance(value, tuple)):
            return f"a read of a set is answered with a list, not {show(value)}"
        return None

    def in_words(self, f: str, value: Value) -> str:
        if f == "contains":
            return f"found {show(value[0])} {'present' if value[1] else 'absent'}"
        if f == SHOWED:
            parts = zip(("with", "without"), value, strict=True)
            return "read it " + " and ".join(
                f"{word} {show(element)}" for word, elements in parts for element in elements
            )
        return {"add": "added", "remove": "removed", "read": "read"}[f] + f" {show(value)}"
