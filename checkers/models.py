"""What an object should do when nobody else is there: sequential models for the linearizability checker.

A model is a value: `initial` is a state, states are hashable, and `step` is a pure function. One's own is a
small class:

    class Counter(Model):
        name = "counter"
        summary = "add and read of one number"
        operations = frozenset({"add", "read"})
        initial = 0

        def step(self, state, f, value):
            if f == "add":
                return state + value
            return state if value == state else ILLEGAL

        def pure(self, f, value):
            return f == "read"

Values reach a model frozen: lists as tuples, dicts as sorted tuples of pairs. Values are compared as Python
compares them, so 1 and 1.0 are the same value. Left out on purpose: states that a step could choose among.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from enum import Enum
from typing import Any, ClassVar, Final, Literal

from checkers.history import NEMESIS, HistoryError, Op

State = Any
"""Hashable."""
Value = Any
"""Frozen, so hashable."""


class Illegal(Enum):
    ILLEGAL = "illegal"


ILLEGAL: Final = Illegal.ILLEGAL
"""What `step` gives for an operation that cannot happen in that state."""


FailedCas = Literal["ignore", "observe", "mismatch"]
"""What a failed operation means: only that it did not happen (Knossos); or that it did not *because of the
state*, which is an observation (Porcupine's reading of etcd's logs); or the latter if its error is
"mismatch", as in our own histories, where other errors have other causes."""


def frozen(value: Any) -> Value:
    """`value`, as JSON or EDN gives it, as a hashable value."""
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    if isinstance(value, dict):
        return tuple(sorted((str(key), frozen(item)) for key, item in value.items()))
    return value


class Model(ABC):
    """The contract; only `name`, `summary`, `operations`, `initial` and `step` are needed. What the other
    methods claim lets the checker prune and explain, and a false claim makes its verdicts false."""

    name: ClassVar[str]
    summary: ClassVar[str]
    operations: ClassVar[frozenset[str]]
    answers: ClassVar[frozenset[str]] = frozenset()
    """Operations whose value is what was answered, even where that is nil and something else was asked."""
    keyed: ClassVar[bool] = True
    """Objects of different keys are independent, and each key is judged by itself."""
    initial: State

    @abstractmethod
    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        """The state after the operation, or ILLEGAL. `value` holds what was asked and what was answered."""

    def pure(self, f: str, value: Value) -> bool:
        """True only if the operation leaves every state in which it is legal as it is."""
        return False

    def blind(self, f: str, value: Value) -> bool:
        """True only if the operation is legal in every state and always leaves the same one."""
        return False

    def leaves(self, f: str, value: Value) -> State | Illegal:
        """The state that the operation leaves wherever it is legal, or ILLEGAL if there is not just one."""
        return ILLEGAL

    def needs(self, f: str, value: Value) -> State | Illegal:
        """The only state in which the operation is legal, or ILLEGAL if there is not just one."""
        return ILLEGAL

    def refused(self, f: str, value: Value) -> tuple[str, Value] | None:
        """What a *failed* operation says about the state, as a pure operation of this model's `step`: a
        failed cas may mean that the value was not the expected one. None: it says nothing."""
        return None

    def malformed(self, f: str, value: Value) -> str | None:
        """What is wrong with the shape of a value, as a clause, or None."""
        return None

    def in_words(self, f: str, value: Value) -> str:
        """The operation as a verb phrase in the past tense, to follow "process 3"."""
        return f"did {f}" if value is None else f"did {f} {show(value)}"


def show(value: Value) -> str:
    """A value as people write it, shortened to 60 characters."""
    if value is None:
        text = "nil"
    elif isinstance(value, tuple):
        text = "[" + " ".join(map(show, value)) + "]"
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:28]} ... {text[-28:]}"


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


class Mutex(Model):
    """A lock: held or free, by whomever."""

    name = "mutex"
    summary = "acquire and release of a lock"
    operations = frozenset({"acquire", "release"})
    initial = "free"

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        if f == "acquire":
            return "held" if state == "free" else ILLEGAL
        return "free" if state == "held" else ILLEGAL

    def leaves(self, f: str, value: Value) -> State | Illegal:
        return "held" if f == "acquire" else "free"

    def needs(self, f: str, value: Value) -> State | Illegal:
        return "free" if f == "acquire" else "held"

    def in_words(self, f: str, value: Value) -> str:
        return "acquired the lock" if f == "acquire" else "released the lock"


class MultiRegister(Model):
    """Several registers, read and written by transactions: `txn` with the value [[:read x 1] [:write y 2]].

    `initial` maps registers to the values they begin with; the others begin as None. Without it, nothing is
    known of how they begin: the first read of a register that was not written yet says what it held."""

    name = "multi-register"
    summary = "txn over several registers, with the value [[:read x 1] [:write y 2]]"
    operations = frozenset({"txn"})
    keyed = False

    def __init__(self, initial: dict[str, Value] | None = None) -> None:
        self._known = initial is not None
        self.initial = tuple(sorted((name, frozen(value)) for name, value in (initial or {}).items()))

    def step(self, state: State, f: str, value: Value) -> State | Illegal:
        registers = dict(state)
        for verb, register, item in value:
            if verb in _WRITES or (register not in registers and not self._known):
                registers[register] = item
            elif registers.get(register) != item:
                return ILLEGAL
        return tuple(sorted(registers.items(), key=_by_name))

    def pure(self, f: str, value: Value) -> bool:
        return self._known and all(verb not in _WRITES for verb, _, _ in value)

    def malformed(self, f: str, value: Value) -> str | None:
        if isinstance(value, tuple) and all(
            isinstance(each, tuple) and len(each) == 3 and each[0] in _VERBS for each in value
        ):
            return None
        return f"the value of a txn is [[:read x 1] [:write y 2]], not {show(value)}"


_READS: Final = frozenset({":read", "read", ":r", "r"})
_WRITES: Final = frozenset({":write", "write", ":w", "w"})
_VERBS: Final = _READS | _WRITES


def _by_name(register: tuple[Any, Value]) -> str:
    return str(register[0])


def _not_a_pair(f: str, value: Value) -> str | None:
    if f != "cas" or (isinstance(value, tuple) and len(value) == 2):
        return None
    return f"the value of a cas is [expected, new], not {show(value)}"


MODELS: Final[dict[str, type[Model]]] = {
    each.name: each for each in (Register, CasRegister, Kv, Mutex, MultiRegister)
}
"""Models by name; each has a one-line `summary`, and all but the mutex take an `initial`."""


def guess_model(history: Iterable[Op]) -> str:
    """The name of the first model that has all the clients' operations; HistoryError if none has."""
    fs = {op.f for op in history if op.process != NEMESIS}
    for name, model in MODELS.items():
        if fs <= model.operations:
            return name
    raise HistoryError(f"no model has the operations {', '.join(sorted(fs))}; there are {', '.join(MODELS)}")
