"""Registers and the key-value store: objects whose state is one value."""

from __future__ import annotations

from typing import Final

from checkers.models.base import ILLEGAL, Illegal, Model, State, Value, frozen, show

_DIFFERS: Final = "cas-refused"
"""The value was not the one that a cas expected."""


class Register(Model):
    """One value. `initial` is what a read before any write finds."""

    name = "register"
    summary = "read and write of one value per key"
    operations = frozenset({"read", "write"})
    answers = frozenset({"read"})

    def __init__(self, initial: Value = None) -> None:
        self.initial = frozen(initial)

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == "read":
            return state if value == state else ILLEGAL
        return value

    def pure(self, f: str, value: Value) -> bool:
        return f == "read"

    def blind(self, f: str, value: Value) -> bool:
        return f == "write"

    def leaves(self, f: str, value: Value) -> State | Illegal:
        return value if f == "write" else ILLEGAL

    def needs(self, f: str, value: Value) -> State | Illegal:
        return value if f == "read" else ILLEGAL

    def in_words(self, f: str, value: Value) -> str:
        return f"read {show(value)}" if f == "read" else f"wrote {show(value)}"


class CasRegister(Register):
    """A register with compare-and-set; the value of a cas is [expected, new]."""

    name = "cas-register"
    summary = "read, write and cas of one value per key; a cas has the value [expected, new]"
    operations = frozenset({"read", "write", "cas"})

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == "cas":
            return value[1] if value[0] == state else ILLEGAL
        if f == _DIFFERS:
            return state if value != state else ILLEGAL
        return super().step(state, f, value)

    def pure(self, f: str, value: Value) -> bool:
        return f in ("read", _DIFFERS) or (f == "cas" and value[0] == value[1])

    def leaves(self, f: str, value: Value) -> State | Illegal:
        return value[1] if f == "cas" else super().leaves(f, value)

    def needs(self, f: str, value: Value) -> State | Illegal:
        return value[0] if f == "cas" else super().needs(f, value)

    def refused(self, f: str, value: Value) -> tuple[str, Value] | None:
        return (_DIFFERS, value[0]) if f == "cas" else None

    def malformed(self, f: str, value: Value) -> str | None:
        return _not_a_pair(f, value)

    def in_words(self, f: str, value: Value) -> str:
        if f == "cas":
            return f"changed {show(value[0])} to {show(value[1])}"
        if f == _DIFFERS:
            return f"found something else than {show(value)}"
        return super().in_words(f, value)


class Kv(Model):
    """A map from keys to values, judged key by key. An absent key is None; it reads as None or as "" (as in
    Porcupine's histories), and appending to it begins a string. A key set to "" reads only as ""."""

    name = "kv"
    summary = "get, put, append, delete and cas per key"
    operations = frozenset({"get", "put", "append", "delete", "cas"})
    answers = frozenset({"get"})

    def __init__(self, initial: Value = None) -> None:
        self.initial = frozen(initial)

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == "get":
            return state if value == state or (state is None and value == "") else ILLEGAL
        if f == "put":
            return value
        if f == "append":
            return value if state is None else state + value if isinstance(state, str) else ILLEGAL
        if f == "cas":
            return value[1] if value[0] == state else ILLEGAL
        if f == _DIFFERS:
            return state if value != state else ILLEGAL
        return None

    def pure(self, f: str, value: Value) -> bool:
        return f in ("get", _DIFFERS) or (f == "cas" and value[0] == value[1])

    def blind(self, f: str, value: Value) -> bool:
        return f in ("put", "delete")

    def leaves(self, f: str, value: Value) -> State | Illegal:
        if f == "put":
            return value
        if f == "cas":
            return value[1]
        return None if f == "delete" else ILLEGAL

    def needs(self, f: str, value: Value) -> State | Illegal:
        if f == "cas":
            return value[0]
        return value if f == "get" and value != "" else ILLEGAL

    def becomes(self, state: State, later: State) -> bool:
        if state is None or state == later:
            return state == later or isinstance(later, str)
        return isinstance(state, str) and isinstance(later, str) and later.startswith(state)

    def refused(self, f: str, value: Value) -> tuple[str, Value] | None:
        return (_DIFFERS, value[0]) if f == "cas" else None

    def malformed(self, f: str, value: Value) -> str | None:
        if f == "append" and not isinstance(value, str):
            return f"the value of an append is a string, not {show(value)}"
        return _not_a_pair(f, value)

    def in_words(self, f: str, value: Value) -> str:
        if f == "get":
            return f"read {show(value)}"
        if f == "put":
            return f"wrote {show(value)}"
        if f == "append":
            return f"appended {show(value)}"
        if f == "delete":
            return "deleted it"
        if f == "cas":
            return f"changed {show(value[0])} to {show(value[1])}"
        return f"found something else than {show(value)}"


def _not_a_pair(f: str, value: Value) -> str | None:
    if f != "cas" or (isinstance(value, tuple) and len(value) == 2):
        return None
    return f"the value of a cas is [expected, new], not {show(value)}"
