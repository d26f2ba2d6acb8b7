"""The contract of a model, and the values it works on.

Values reach a model frozen: lists as tuples, dicts as sorted tuples of pairs. Values are compared as Python
compares them, so 1 and 1.0 are the same value. Left out on purpose: states that a step could choose among.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum
from typing import Any, ClassVar, Final, Literal

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

    def becomes(self, state: State, later: State) -> bool:
        """False only if no calls lead from one state to the other, not counting calls of which `leaves` names
        the state they leave. Of appends: whether the one is a beginning of the other."""
        return True

    def refused(self, f: str, value: Value) -> tuple[str, Value] | None:
        """What a *failed* operation says about the state, as a pure operation of this model's `step`: a
        failed cas may mean that the value was not the expected one. None: it says nothing."""
        return None

    def unanswered(self, f: str, value: Value) -> tuple[str, Value] | None:
        """What an operation whose answer nobody saw may have done, as an operation of this model's `step`
        (deterministic, so one that takes "whatever is next" has a name of its own there). None: nothing
        that others could tell."""
        return None if self.pure(f, value) else (f, value)

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
    elif isinstance(value, frozenset):
        text = "{" + " ".join(sorted(map(show, value))) + "}"
    else:
        text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 60 else f"{text[:28]} ... {text[-28:]}"
