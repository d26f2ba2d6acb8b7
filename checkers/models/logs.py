"""Logs that only grow."""

from __future__ import annotations

from typing import Final

from checkers.models.base import ILLEGAL, Illegal, Model, State, Value, show

SHOWED: Final = "showed"
SHOWED_FIRST: Final = "showed-first"
"""What a read, or a read of a beginning, says of a few values alone, as operations of their own, which no
history has: [[those it showed, in order] [those it did not show]]."""


class AppendLog(Model):
    """A list that is appended to. `read` is answered with the whole, `read-prefix` with any beginning of it;
    nil is the empty list."""

    name = "append-log"
    summary = "append, read (of the whole) and read-prefix (any beginning) of a list"
    operations = frozenset({"append", "read", "read-prefix"})
    answers = frozenset({"read", "read-prefix"})
    initial: State = ()

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == "append":
            return (*state, value)
        if f in (SHOWED, SHOWED_FIRST):
            seen, unseen = value
            there = tuple(each for each in state if each in seen or each in unseen)
            alike = seen == (there if f == SHOWED else there[: len(seen)])
            return state if alike else ILLEGAL
        seen = value or ()
        if f == "read":
            return state if seen == state else ILLEGAL
        return state if seen == state[: len(seen)] else ILLEGAL

    def pure(self, f: str, value: Value) -> bool:
        return f != "append"

    def needs(self, f: str, value: Value) -> State | Illegal:
        return value or () if f == "read" else ILLEGAL

    def malformed(self, f: str, value: Value) -> str | None:
        if f == "append" or value is None or isinstance(value, tuple):
            return None
        return f"a {f} of a log is answered with a list, not {show(value)}"

    def in_words(self, f: str, value: Value) -> str:
        if f == "append":
            return f"appended {show(value)}"
        if f in (SHOWED, SHOWED_FIRST):
            seen = [f"with {' and then '.join(map(show, value[0]))}"] if value[0] else []
            said = " and ".join([*seen, *(f"without {show(each)}" for each in value[1])])
            return f"read {'it' if f == SHOWED else 'the beginning'} {said}"
        return f"read {'the beginning ' if f == 'read-prefix' else ''}{show(value or ())}"
