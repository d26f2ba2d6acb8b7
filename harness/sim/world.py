"""Virtual time: one heap of events, and coroutines that wait for nothing but them.

Time stands still while an event runs and jumps to the next one after it, so a simulated minute costs what
its events cost. Events at one instant run in the order in which they were scheduled. An event is never taken
back: whoever scheduled it ignores it when it comes too late (after a crash, after an answer), which is
cheaper than finding it in the heap.

The faults, sessions and clusters of the harness are coroutines; here they are stepped by hand, without trio,
whose scheduler is random by design. The whole of a run's randomness comes from `World.random`: one stream for
each purpose, so that drawing more in one place changes nothing in another (as in FoundationDB's and turmoil's
simulators).
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Coroutine, Generator, Sized
from heapq import heappop, heappush
from typing import Any, Final, Generic, TypeVar

T = TypeVar("T")

US: Final = 1_000
MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
"""Nanoseconds in each."""
FOR_EVER: Final = 1 << 63


class SimulationError(Exception):
    """The simulation cannot go on: something in it awaits what will never come."""


class World:
    """`now` is virtual nanoseconds since the world began; `events` counts those that have run."""

    def __init__(self, seed: int) -> None:
        self.now = 0
        self.events = 0
        self._seed = seed
        self._scheduled = 0
        self._heap: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []

    def random(self, name: str) -> random.Random:
        """The stream called `name`: always the same for one seed and name."""
        digest = hashlib.sha256(f"{self._seed}/{name}".encode()).digest()
        return random.Random(int.from_bytes(digest, "big"))

    def at(self, time: int, act: Callable[..., None], *args: Any) -> None:
        """Call `act(*args)` at `time`, or now if that is past."""
        self._scheduled += 1
        heappush(self._heap, (time if time > self.now else self.now, self._scheduled, act, args))

    def sleep(self, duration_ns: int) -> Future[None]:
        """To be awaited."""
        future: Future[None] = Future(self)
        self.at(self.now + duration_ns, future.resolve, None)
        return future

    def spawn(self, coroutine: Coroutine[Any, Any, T], on_done: Callable[[T], None]) -> None:
        """Run `coroutine` until it first waits, and go on with it whenever what it waits for is there; what
        it returns goes to `on_done`. An exception that escapes it ends the simulation."""
        _Task(coroutine, on_done).resume()

    def complete(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Let time pass until `coroutine` has returned."""
        results: list[T] = []
        self.spawn(coroutine, results.append)
        while not results:
            if not self._heap:
                raise SimulationError(f"{_name(coroutine)} waits for something that cannot come any more")
            self.run_until(self._heap[0][0], results)
        return results[0]

    def run_until(self, time: int | None, done: Sized = (), events_max: int = FOR_EVER) -> bool:
        """Run events until all those up to and at `time` have run, or `done` is not empty; true then, and
        false if `events_max` ran before. It stops between instants, never within. `time` None: for ever."""
        # Locals only: this is the loop in which the simulator lives.
        heap, now, events = self._heap, self.now, self.events
        last = FOR_EVER if time is None else time
        stop_at = events + events_max
        while heap:
            event = heap[0]
            due = event[0]
            if due > now:
                if done or due > last:
                    break
                if events >= stop_at:
                    return False
                self.now = now = due
            heappop(heap)
            self.events = events = events + 1
            event[2](*event[3])
        if done:
            return True
        if time is None:
            raise SimulationError("no event is left, and what is waited for has not come")
        self.now = max(now, time)
        return True


class Future(Generic[T]):
    """A value that is there at some later instant, once, for one coroutine that awaits it."""

    __slots__ = ("_error", "_task", "_value", "_world", "done")

    def __init__(self, world: World) -> None:
        self.done = False
        self._world = world
        self._value: T | None = None
        self._error: Exception | None = None
        self._task: _Task | None = None

    def resolve(self, value: T) -> None:
        """Give the value. Only the first resolution counts."""
        if not self.done:
            self._value = value
            self._settle()

    def fail(self, error: Exception) -> None:
        """Raise `error` in whoever awaits. Only the first resolution counts."""
        if not self.done:
            self._error = error
            self._settle()

    def _settle(self) -> None:
        self.done = True
        if self._task is not None:
            # Not at once: whoever resolves may be in the middle of something.
            self._world.at(self._world.now, self._task.resume)

    def wake(self, task: _Task) -> None:
        """Resume `task` when the value is there."""
        if self._task is not None:
            raise SimulationError("a future can be awaited by one coroutine only")
        self._task = task
        if self.done:
            self._settle()

    def __await__(self) -> Generator[Future[T], None, T]:
        if not self.done:
            yield self
        if self._error is not None:
            raise self._error
        return self._value  # type: ignore[return-value]  # resolve() has set it


class _Task:
    __slots__ = ("_coroutine", "_on_done")

    def __init__(self, coroutine: Coroutine[Any, Any, T], on_done: Callable[[T], None]) -> None:
        self._coroutine = coroutine
        self._on_done: Callable[[Any], None] = on_done

    def resume(self) -> None:
        try:
            awaited = self._coroutine.send(None)
        except StopIteration as end:
            self._on_done(end.value)
            return
        if not isinstance(awaited, Future):
            self._coroutine.close()
            raise SimulationError(
                f"{_name(self._coroutine)} awaits {awaited!r}; in the simulator a coroutine can await "
                "nothing but the simulated world (no trio, no asyncio)"
            )
        awaited.wake(self)


def _name(coroutine: Coroutine[Any, Any, Any]) -> str:
    return getattr(coroutine, "__qualname__", None) or repr(coroutine)
