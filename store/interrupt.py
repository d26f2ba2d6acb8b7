"""ctrl-C in a program of trio, as an exception at a place that is ready for one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

import trio

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def run(function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
    """`trio.run`; ctrl-C comes at a checkpoint, never between two steps that belong together, and out of here
    as a plain KeyboardInterrupt, not in a group."""
    try:
        return trio.run(function, *arguments, restrict_keyboard_interrupt_to_checkpoints=True)
    except BaseExceptionGroup as group:
        _, others = group.split(KeyboardInterrupt)
        if others is not None:
            raise
        raise KeyboardInterrupt from None
