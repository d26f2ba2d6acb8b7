"""The time of a stage: virtual, as a simulated world has it, or real."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol

import trio

from harness.sim.clock import WallClock
from harness.sim.world import SECOND, Future, World

Act = Coroutine[Any, Any, str]


class StageTime(Protocol):
    def now_s(self) -> float: ...

    def wall_ms(self) -> float:
        """What a wall clock that nobody has touched shows, since 1970."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    async def together(self, acts: Sequence[Act]) -> list[str]:
        """Run them side by side; their results in order."""
        ...


class VirtualTime:
    def __init__(self, world: World) -> None:
        self._world = world
        self._clock = WallClock()

    def now_s(self) -> float:
        return self._world.now / SECOND

    def wall_ms(self) -> float:
        return self._clock.read(self._world.now) / 1e6

    async def sleep(self, seconds: float) -> None:
        await self._world.sleep(round(seconds * SECOND))

    async def together(self, acts: Sequence[Act]) -> list[str]:
        results = [Future[str](self._world) for _ in acts]
        for act, result in zip(acts, results, strict=True):
            self._world.spawn(act, result.resolve)
        return [await result for result in results]


class RealTime:
    """Under trio."""

    def now_s(self) -> float:
        return time.monotonic()

    def wall_ms(self) -> float:
        return time.time() * 1000

    async def sleep(self, seconds: float) -> None:
        await trio.sleep(seconds)

    async def together(self, acts: Sequence[Act]) -> list[str]:
        results = [""] * len(acts)

        async def run(place: int, act: Act) -> None:
            results[place] = await act

        async with trio.open_nursery() as nursery:
            for place, act in enumerate(acts):
                nursery.start_soon(run, place, act)
        return results
