"""What a generator may know of the run when it is asked for an operation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Thread = int | str
"""A worker: 0 .. concurrency-1, or `checkers.history.NEMESIS`. A thread outlives its processes."""


class Context(NamedTuple):
    """`time`: nanoseconds since the start. `threads`: all that are in the generator's scope, clients in
    ascending order, then the nemesis. `free`: those of them that wait for an operation, the one that has
    waited longest first. `processes`: the process that each thread currently is."""

    time: int
    threads: tuple[Thread, ...]
    free: tuple[Thread, ...]
    processes: Mapping[Thread, int | str]
