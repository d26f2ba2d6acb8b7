"""The loop around the scheduler, in virtual time (as jepsen.generator.interpreter, in real time, is there).

Worker i talks to node i mod n. Whatever completes at an instant is told to the scheduler before it is asked
for more, so a run is a function of the plan. Sessions, pauses and errors are as on a real cluster
(`harness/interpreter.py`, `harness/connection.py`); only a hung operation cannot occur.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from msgspec.structs import replace

from checkers.history import NEMESIS, Op
from harness.client import UNREACHABLE_PAUSE_S, Codec, perform
from harness.cluster.base import Lost, NotSent, Session
from harness.cluster.sim import SimCluster
from harness.context import Thread
from harness.generator import Generator
from harness.scheduler import Dispatch, Finished, Scheduler
from harness.sim.world import SECOND
from store.core.messages import Body, Response

EVENTS_PER_LOOK: Final = 500
"""After about so many events progress is told, and the user's wish to stop is looked at."""


def simulate(
    scheduler: Scheduler,
    cluster: SimCluster,
    codec: Codec,
    nemesis: Callable[[Op], Awaitable[Op]],
    *,
    op_timeout_s: float,
    should_stop: Callable[[], bool],
    healing: Callable[[], Generator],
    on_progress: Callable[[int], None] | None = None,
) -> None:
    """Run until the scheduler has finished, on a cluster that is set up; times are ns from now on.

    When `should_stop()`, what is left to do is replaced by `healing()`, once. `on_progress` is told the time
    every few hundred events.
    """
    world = cluster.world
    start = world.now
    lines: dict[Thread, _Line] = {}
    finished: list[tuple[Thread, Op]] = []
    stopping = False
    look_at = 0

    async def work(thread: Thread, op: Op) -> tuple[Thread, Op]:
        try:
            if thread == NEMESIS:
                return thread, await nemesis(op)
            line = lines.get(thread)
            if line is None:
                line = lines[thread] = _Line(cluster, cluster.nodes[int(thread) % len(cluster.nodes)])
            completion = await perform(codec, line, op, op_timeout_s)
            if completion.type == "info":
                await line.close()
        except Exception as error:
            completion = replace(op, type="info", error=f"indeterminate: {type(error).__name__}: {error}")
        return thread, completion

    while True:
        for thread, op in finished:
            scheduler.complete(thread, op, world.now - start)
        finished.clear()
        if world.events >= look_at:
            look_at = world.events + EVENTS_PER_LOOK
            if on_progress is not None:
                on_progress(world.now - start)
            if not stopping and should_stop():
                stopping = True
                scheduler.replace(healing())
        step = scheduler.poll(world.now - start)
        if isinstance(step, Finished):
            return
        if isinstance(step, Dispatch):
            world.spawn(work(step.thread, step.op), finished.append)
        else:
            until = None if step.until is None else start + step.until
            world.run_until(until, finished, EVENTS_PER_LOOK)


class _Line:
    """A worker's way to its node: a session that is opened when there is none, and anew after an error."""

    def __init__(self, cluster: SimCluster, node: str) -> None:
        self._cluster = cluster
        self._node = node
        self._session: Session | None = None

    async def request(self, body: Body, timeout_s: float) -> Response:
        """`timeout_s` is for connecting and asking together."""
        world = self._cluster.world
        began = world.now
        try:
            if self._session is not None:
                try:
                    return await self._session.request(body, timeout_s)
                except NotSent:  # the node has ended it since it was last used
                    await self.close()
            self._session = await self._cluster.connect(self._node)
            return await self._session.request(body, timeout_s - (world.now - began) / SECOND)
        except Lost:
            await self.close()
            raise
        except NotSent:
            await self.close()
            await world.sleep(began + int(UNREACHABLE_PAUSE_S * SECOND) - world.now)
            raise

    async def close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.close()
