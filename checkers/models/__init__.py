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

Files: `base` has the contract, the others a family each.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from checkers.history import NEMESIS, HistoryError, Op
from checkers.models.base import ILLEGAL, FailedCas, Illegal, Model, State, Value, frozen, show
from checkers.models.counters import Counter
from checkers.models.locks import Mutex, OwnerAwareMutex, ReentrantMutex, Semaphore
from checkers.models.logs import AppendLog
from checkers.models.queues import UNSEEN, FifoQueue, PriorityQueue, Stack, UnorderedQueue
from checkers.models.registers import CasRegister, Kv, Register
from checkers.models.sets import Set
from checkers.models.transactions import MultiRegister

MODELS: Final[dict[str, type[Model]]] = {
    each.name: each
    for each in (
        Register,
        CasRegister,
        Kv,
        Mutex,
        OwnerAwareMutex,
        ReentrantMutex,
        Semaphore,
        MultiRegister,
        Set,
        Counter,
        FifoQueue,
        UnorderedQueue,
        Stack,
        PriorityQueue,
        AppendLog,
    )
}
"""Models by name; each has a one-line `summary`, and can be made without arguments."""


def model_named(spec: str) -> Model:
    """The model that `NAME` or, where it counts something, `NAME:N` asks for: `semaphore:5` has five permits,
    `reentrant-mutex:3` can be held three times over. HistoryError if there is none."""
    name, _, count = spec.partition(":")
    if name in MODELS and not count:
        return MODELS[name]()
    if count.isascii() and count.isdigit() and int(count) > 0:
        if name == Semaphore.name:
            return Semaphore(int(count))
        if name == ReentrantMutex.name:
            return ReentrantMutex(int(count))
    counted = ", ".join(f"{model.name}:N" for model in (Semaphore, ReentrantMutex))
    raise HistoryError(f"there is no model {spec!r}; there are {', '.join(MODELS)}, {counted}")


def guess_model(history: Iterable[Op]) -> str:
    """The name of the first model that has all the clients' operations, and whose values look like what they
    were answered; HistoryError if none has. Of several that would do it is the first in `MODELS`, so that a
    lock is taken to be a mutex and a queue to be first in first out."""
    clients = [op for op in history if op.process != NEMESIS]
    fs = {op.f for op in clients}
    able = [name for name, model in MODELS.items() if fs <= model.operations]
    if not able:
        raise HistoryError(
            f"no model has the operations {', '.join(sorted(fs))}; there are {', '.join(MODELS)}"
        )
    answers = [op for op in clients if op.type == "ok"] if len(able) > 1 else []
    return next((name for name in able if _fits(MODELS[name](), answers)), able[0])


def _fits(model: Model, answers: list[Op]) -> bool:
    return all(model.malformed(op.f, frozen(op.value)) is None for op in answers if op.value is not None)


__all__ = [
    "ILLEGAL",
    "MODELS",
    "UNSEEN",
    "AppendLog",
    "CasRegister",
    "Counter",
    "FailedCas",
    "FifoQueue",
    "Illegal",
    "Kv",
    "Model",
    "MultiRegister",
    "Mutex",
    "OwnerAwareMutex",
    "PriorityQueue",
    "ReentrantMutex",
    "Register",
    "Semaphore",
    "Set",
    "Stack",
    "State",
    "UnorderedQueue",
    "Value",
    "frozen",
    "guess_model",
    "model_named",
    "show",
]
