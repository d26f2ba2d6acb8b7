"""The pure core of a run: who does what next, given what has been completed (after
jepsen.generator.interpreter).

An interpreter is a loop around it that carries operations out and knows what time it is; there is one for
real clusters (`harness/interpreter.py`, trio) and one in virtual time (`harness/sim/`). Both complete
whatever is ready before they poll, since waiting would add concurrency that was not there.

Every event is journaled in one place here: it gets its index and its time, which never decreases, and goes to
`record`. The nemesis' operations are journaled as `info` at both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from msgspec.structs import replace as with_fields

from checkers.history import NEMESIS, Op, Type
from harness.context import Context, Thread
from harness.generator import Answer, Generator, GeneratorError, Pending

ASKED_MAX: Final = 1000
"""How often a generator may answer "ask me again at once" before we say that it goes round in circles."""


class CompletionError(Exception):
    """A completion does not belong to the operation that the thread carries out: a sentence."""


class Dispatch(NamedTuple):
    """`thread` must carry out `op`, which has been journaled."""

    thread: Thread
    op: Op


class Wait(NamedTuple):
    """Poll again when an operation is completed, and at `until` (ns since the start) if none is."""

    until: int | None


class Finished(NamedTuple):
    """The generator is exhausted and nothing is outstanding."""


Step = Dispatch | Wait | Finished


class Scheduler:
    """Threads are the clients 0 .. concurrency-1, at first their own processes, and the nemesis.

    After `info` a client thread goes on as process + concurrency, and the old process never speaks again.
    """

    def __init__(self, generator: Generator, concurrency: int, record: Callable[[Op], None]) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency must be at least 1, not {concurrency}")
        self.concurrency = concurrency
        self._generator: Generator | None = generator
        self._record = record
        self._time = 0
        self._index = 0
        self._threads: tuple[Thread, ...] = (*range(concurrency), NEMESIS)
        self._free: tuple[Thread, ...] = self._threads
        self._processes: Mapping[Thread, int | str] = {thread: thread for thread in self._threads}
        self._thread_of: dict[int | str, Thread] = {thread: thread for thread in self._threads}
        self._outstanding: dict[Thread, Op] = {}
        self._foreseen: tuple[Op, Generator | None] | None = None
        """What the generator gave for later, as long as nothing has happened since."""

    def poll(self, now: int) -> Step:
        """What to do at `now` (ns since the start); raises `GeneratorError`."""
        self._advance(now)
        answer = self._ask()
        if isinstance(answer, Pending):
            if answer.until is None and not self._outstanding:
                raise GeneratorError(
                    "the generator waits for an event, but nothing is outstanding to bring one"
                )
            return Wait(answer.until)
        if answer is None:
            self._generator = None
            return Wait(None) if self._outstanding else Finished()
        op, rest = answer
        self._check(op)
        if op.time > self._time:
            self._foreseen = answer
            return Wait(op.time)
        return self._dispatch(op, rest)

    def complete(self, thread: Thread, op: Op, now: int) -> Op:
        """`op` is the completion of what `thread` carries out; it is journaled and returned as it was
        journaled, and the thread is free. Raises `CompletionError`."""
        self._check_completion(thread, op)
        self._advance(now)
        event = self._journal(op, op.type)
        del self._outstanding[thread]
        clients = self._free[:-1] if self._free[-1:] == (NEMESIS,) else self._free
        self._free = (*clients, thread, *self._free[len(clients) :])
        self._tell(event)
        if event.type == "info" and isinstance(thread, int) and isinstance(event.process, int):
            process = event.process + self.concurrency
            self._processes = {**self._processes, thread: process}
            del self._thread_of[event.process]
            self._thread_of[process] = thread
        return event

    def replace(self, generator: Generator) -> None:
        """From now on, only what this generator says; what is outstanding still completes."""
        self._generator = generator
        self._foreseen = None

    def _ask(self) -> Answer:
        if self._generator is None:
            return None
        if self._foreseen is not None and self._foreseen[0].time == self._time:
            return self._foreseen
        self._foreseen = None
        ctx = self._context()
        for _ in range(ASKED_MAX):
            answer = self._generator.op(ctx)
            if not isinstance(answer, Pending):
                return answer
            if answer.generator is not None:
                self._generator = answer.generator
            if answer.until is None or answer.until > self._time:
                return answer
        raise GeneratorError(f"the generator has nothing at {self._time} ns, yet asks for no later time")

    def _dispatch(self, op: Op, rest: Generator | None) -> Dispatch:
        thread = self._thread_of[op.process]
        event = self._outstanding[thread] = self._journal(op, "info" if thread == NEMESIS else "invoke")
        self._free = tuple([free for free in self._free if free != thread])
        self._generator = rest
        self._tell(event if event.type == "invoke" else with_fields(event, type="invoke"))
        return Dispatch(thread, event)

    def _advance(self, now: int) -> None:
        if now > self._time:
            self._time = now

    def _context(self) -> Context:
        return Context(self._time, self._threads, self._free, self._processes)

    def _journal(self, op: Op, type_: Type) -> Op:
        event = with_fields(op, index=self._index, time=self._time, type=type_)
        self._index += 1
        self._record(event)
        return event

    def _tell(self, event: Op) -> None:
        self._foreseen = None
        if self._generator is not None:
            self._generator = self._generator.update(self._context(), event)

    def _check(self, op: Op) -> None:
        if op.type != "invoke" and not (op.type == "info" and op.process == NEMESIS):
            raise GeneratorError(
                f"a generator gives operations of type 'invoke', but {op.f!r} has {op.type!r}"
            )
        if self._thread_of.get(op.process) not in self._free:
            free = ", ".join(str(self._processes[thread]) for thread in self._free)
            raise GeneratorError(
                f"the generator gave {op.f!r} to process {op.process!r}, which is not free; free are: {free}"
            )

    def _check_completion(self, thread: Thread, op: Op) -> None:
        asked = self._outstanding.get(thread)
        if asked is None:
            raise CompletionError(f"thread {thread} completes {op.f!r}, but carries out nothing")
        if (op.process, op.f, op.key) != (asked.process, asked.f, asked.key):
            raise CompletionError(
                f"process {asked.process} carries out {asked.f!r} of key {asked.key!r}, "
                f"but its completion is {op.f!r} of key {op.key!r} by process {op.process}"
            )
        allowed = ("info",) if thread == NEMESIS else ("ok", "fail", "info")
        if op.type not in allowed:
            raise CompletionError(
                f"process {asked.process} completes {asked.f!r} with type {op.type!r}; "
                f"allowed is {' or '.join(allowed)}"
            )
