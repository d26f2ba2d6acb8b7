"""A node's timers, on as few of the driver's as will do: most are cancelled before they are due, so only the
next one is set there."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import Final

from store.core.machine import Effect, SetTimer

DEAD_MAX: Final = 1_000
"""So many timers that were cancelled are kept beside those that were not, before they are swept out."""


class Timers:
    """`emit` takes effects. Times are monotonic nanoseconds."""

    def __init__(self, emit: Callable[[Effect], None]) -> None:
        self._emit = emit
        self._last = 0
        self._acts: dict[int, Callable[[], None]] = {}
        self._due: list[tuple[int, int]] = []
        """A heap of (time, token), of cancelled timers too."""
        self._set: list[int] = []
        """For when the driver's are set, falling."""

    def __len__(self) -> int:
        return len(self._acts)

    def at(self, time: int, act: Callable[[], None]) -> int:
        """Call `act` once, at `time` or later; the token is for `cancel`."""
        self._last = token = self._last + 1
        self._acts[token] = act
        heappush(self._due, (time, token))
        if not self._set or time < self._set[-1]:
            self._set.append(time)
            self._emit(SetTimer(token, time))
        return token

    def cancel(self, token: int) -> None:
        """The token may be of a timer that has fired already."""
        self._acts.pop(token, None)
        if len(self._due) > 2 * len(self._acts) + DEAD_MAX:
            self._due = [entry for entry in self._due if entry[1] in self._acts]
            heapify(self._due)

    def fired(self, now: int) -> None:
        """One of the driver's timers has fired."""
        due, acts = self._due, self._acts
        while self._set and self._set[-1] <= now:
            self._set.pop()
        ripe: list[int] = []
        while due and (due[0][0] <= now or due[0][1] not in acts):
            time, token = heappop(due)
            if time <= now:
                ripe.append(token)
        if due and (not self._set or due[0][0] < self._set[-1]):
            self._set.append(due[0][0])
            self._emit(SetTimer(due[0][1], due[0][0]))
        for token in ripe:
            act = acts.pop(token, None)  # one before it may have cancelled it
            if act is not None:
                act()
