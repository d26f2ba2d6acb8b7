"""Histories of registers in the words that the checker of linearizability knows. What is linearizable keeps
every weaker promise too, and that is often seen fastest.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec.structs import replace

from checkers.accesses import ALLOWED, CAS, READS, WRITES
from checkers.convergence import COPIES
from checkers.history import NEMESIS, HistoryError, Op
from checkers.linear import Linearizable
from checkers.models import CasRegister, Kv, Model, Value
from checkers.verdict import Status

LINEAR_STEPS: Final = 100_000


def linearizable(history: Iterable[Op], initial: Value) -> bool:
    """Whether that is quickly seen; False may also mean that it takes too long."""
    events, model = as_register(history, initial)
    steps = max(LINEAR_STEPS, 4 * len(events))
    return Linearizable(model, steps=steps).check(events).status is Status.VALID


def as_register(history: Iterable[Op], initial: Value) -> tuple[list[Op], Model]:
    """The history without versions and without `copies`, and a model that has all of its operations; where
    none has, it is told in the words of `CasRegister`. HistoryError for other operations."""
    events = [without_versions(op) for op in history if op.f != COPIES]
    fs = {op.f for op in events if op.process != NEMESIS}
    for f in sorted(fs - READS - WRITES - {CAS}):
        raise HistoryError(f"{f!r} is not an operation of a register: {ALLOWED}")
    for model in (CasRegister(initial), Kv(initial)):
        if fs <= model.operations:
            return events, model
    return [_translated(op) for op in events], CasRegister(initial)


def without_versions(op: Op) -> Op:
    """With a value alone where there was {"value": ..., "version": ...}."""
    if op.f == CAS or not isinstance(op.value, dict) or op.value.keys() != {"value", "version"}:
        return op
    return replace(op, value=op.value["value"])


def _translated(op: Op) -> Op:
    if op.f in READS:
        return replace(op, f="read")
    if op.f == "delete":
        return replace(op, f="write", value=None)
    return replace(op, f="write") if op.f in WRITES else op
