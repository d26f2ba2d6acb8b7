"""Last phases: after the healing, wait until the copies are equal, then read everything from every node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from checkers.history import Op
from harness.generator import Generator
from harness.generators import each_thread, numbered, phases, sequence, until_ok
from workloads.kv import Look

TRIES: Final = 60
"""How often a client asks for what it is not answered."""


def read_everywhere(keys: Sequence[str]) -> Generator:
    """Every client reads every key, through its own node."""
    return each_thread(sequence(*[until_ok(tries(Op(f="read", key=key))) for key in keys]))


def look_and_read(keys: Sequence[str]) -> Generator:
    """`read_everywhere` when the copies are equal, or patience is at its end."""
    return phases(Look(tuple(keys)), read_everywhere(keys))


def tries(op: Op) -> Generator:
    return numbered(lambda number: op if number < TRIES else None)
