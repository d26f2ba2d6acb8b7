"""ctrl-C as an exception, where the code is ready for one; until then it ends the process at once."""

from __future__ import annotations

import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Arguments = TypeVarTuple("Arguments")


def command(name: str, main: Callable[[], int], interrupted: int) -> int:
    """The exit status of `main`, which is to import what it needs and then call `is_raised`; `interrupted` if
    ctrl-C ended it. Until that call ctrl-C ends the process at once: raised while msgspec makes a decoder,
    an exception is a segmentation fault. A ctrl-C that is ignored stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        return main()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return interrupted
    finally:
        is_raised()


def is_raised() -> None:
    """From here on ctrl-C is a KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def run(function: Callable[[*Arguments], Awaitable[T]], *arguments: *Arguments) -> T:
    """`trio.run`; ctrl-C comes at a checkpoint, never between two steps that belong together, and out of here
    as a plain KeyboardInterrupt, not in a group."""
    import trio  # takes a tenth of a second, and the command's first moment needs this module

    try:
        return trio.run(function, *arguments, restrict_keyboard_interrupt_to_checkpoints=True)
    except BaseExceptionGroup as group:
        _, others = group.split(KeyboardInterrupt)
        if others is not None:
            raise
        raise KeyboardInterrupt from None
