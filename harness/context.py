"""What a generator may know of the run when it is asked for an operation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from checkers.history import NEMESIS

Thread = int | str
"""A worker: 0 .. concurrency-1, or `checkers.history.NEMESIS`. A thread outlives its processes."""


class Context(NamedTuple):
    """`time`: nanoseconds since the start. `threads`: all that are in the generator's scope, clients in
    ascending order, then the nemesis. `free`: those of them that wait for an operation, the client that has
    waited longest first, the nemesis last. `processes`: the process that each thread of the run is now."""

    time: int
    threads: tuple[Thread, ...]
    free: tuple[Thread, ...]
    processes: Mapping[Thread, int | str]

    def thread_of(self, process: int | str) -> Thread | None:
        """The thread that currently is `process`, in the scope or not; None if `process` is no more."""
        if self.processes.get(process) == process:  # every thread's first process has its name
            return process
        return next((thread for thread, now in self.processes.items() if now == process), None)

    def only(self, keep: Callable[[Thread], bool]) -> Context:
        """The same moment, with the threads in scope that `keep` accepts."""
        return Context(
            self.time,
            tuple([thread for thread in self.threads if keep(thread)]),
            tuple([thread for thread in self.free if keep(thread)]),
            self.processes,
        )

    def without_nemesis(self) -> Context:
        time, threads, free, processes = self
        if threads and threads[-1] == NEMESIS:
            threads = threads[:-1]
        if free and free[-1] == NEMESIS:
            free = free[:-1]
        return Context(time, threads, free, processes)

    def only_nemesis(self) -> Context:
        time, threads, free, processes = self
        threads = threads[-1:] if threads and threads[-1] == NEMESIS else ()
        free = threads if free and free[-1] == NEMESIS else ()
        return Context(time, threads, free, processes)
