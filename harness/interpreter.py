"""The loop around the scheduler for real clusters, in real time (after jepsen.generator.interpreter).

Worker i talks to node i mod n. Completions are drained before the scheduler is asked for more. Unlike in
Jepsen nothing can hang the run: an operation that outlives its deadline, even in a client that ignores
cancellation, is journaled as `info`, and its thread goes on with a new connection; and when the run's own
deadline comes, whatever is outstanding is journaled as `info` and the run is over.

For that reason operations are carried out in trio's system tasks: a nursery of ours would wait for those
that do not end. Every one of them is cancelled before `interpret` returns.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from math import inf
from typing import Final

import trio
from msgspec.structs import replace

from checkers.history import NEMESIS, Op
from harness.client import Codec, perform
from harness.cluster.base import Cluster
from harness.connection import CLOSE_S, Connection
from harness.context import Thread
from harness.generator import Generator
from harness.scheduler import Dispatch, Finished, Scheduler

GRACE_S: Final = 1.0
"""How long after its timeout an operation may still end by itself."""

LOOK_S: Final = 0.1
"""How often the user's wish to stop and the deadlines of operations are looked at."""


async def interpret(
    scheduler: Scheduler,
    cluster: Cluster,
    codec: Codec,
    nemesis: Callable[[Op], Awaitable[Op]],
    *,
    op_timeout_s: float,
    nemesis_timeout_s: float,
    hard_deadline_s: float,
    should_stop: Callable[[], bool],
    healing: Callable[[], Generator],
    tick: Callable[[], None],
) -> None:
    """Run until the scheduler has finished, or `hard_deadline_s` from now, on a cluster that is set up.

    `nemesis` carries out one fault operation and gives its completion. Every `LOOK_S` `tick` is called and
    `should_stop` asked; when it says so, what is left to do is replaced by `healing()`, once. Errors of the
    generator and of the recorder, and completions that do not belong to their operation, end the run and are
    raised.
    """
    run = _Run(scheduler, cluster, codec, nemesis, op_timeout_s, nemesis_timeout_s)
    hard_deadline = run.start + hard_deadline_s
    look_at = run.start
    stopping = False
    try:
        while True:
            run.drain()
            now = trio.current_time()
            if now >= look_at:
                look_at = now + LOOK_S
                tick()
                run.expire(now)
                if not stopping and should_stop():
                    stopping = True
                    scheduler.replace(healing())
            if now >= hard_deadline:
                run.give_up_all(f"the run's time of {hard_deadline_s:g} s is over")
                return
            step = scheduler.poll(run.now())
            if isinstance(step, Finished):
                return
            if isinstance(step, Dispatch):
                run.begin(step)
            else:
                await run.wait(step.until, min(look_at, hard_deadline))
    finally:
        await run.end()


class _Job:
    """An operation that is being carried out."""

    def __init__(self, thread: Thread, op: Op, timeout_s: float) -> None:
        self.thread = thread
        self.op = op
        self.timeout_s = timeout_s
        self.deadline = trio.current_time() + timeout_s + GRACE_S
        self.scope = trio.CancelScope()
        self.ended = trio.Event()


class _Run:
    def __init__(
        self,
        scheduler: Scheduler,
        cluster: Cluster,
        codec: Codec,
        nemesis: Callable[[Op], Awaitable[Op]],
        op_timeout_s: float,
        nemesis_timeout_s: float,
    ) -> None:
        self.start = trio.current_time()
        self._scheduler = scheduler
        self._cluster = cluster
        self._codec = codec
        self._nemesis = nemesis
        self._op_timeout_s = op_timeout_s
        self._nemesis_timeout_s = nemesis_timeout_s
        self._running: dict[Thread, _Job] = {}
        self._given_up: list[_Job] = []
        self._connections: dict[int, Connection] = {}
        self._send, self._receive = trio.open_memory_channel[tuple[_Job, Op]](inf)

    def now(self) -> int:
        return round((trio.current_time() - self.start) * 1_000_000_000)

    def begin(self, step: Dispatch) -> None:
        timeout_s = self._nemesis_timeout_s if step.thread == NEMESIS else self._op_timeout_s
        job = self._running[step.thread] = _Job(step.thread, step.op, timeout_s)
        trio.lowlevel.spawn_system_task(self._work, job, name=f"{step.op.f} by {step.op.process}")

    async def wait(self, until: int | None, look_at: float) -> None:
        """For a completion, but no longer than until something else is due."""
        due = look_at if until is None else min(look_at, self.start + until / 1_000_000_000)
        with trio.move_on_at(due):
            self._complete(*await self._receive.receive())

    def drain(self) -> None:
        while True:
            try:
                job, completion = self._receive.receive_nowait()
            except trio.WouldBlock:
                return
            self._complete(job, completion)

    def expire(self, now: float) -> None:
        for job in [job for job in self._running.values() if job.deadline <= now]:
            self._give_up(job, f"no answer within {job.timeout_s + GRACE_S:g} s")

    def give_up_all(self, reason: str) -> None:
        self.drain()
        for job in list(self._running.values()):
            self._give_up(job, reason)

    async def end(self) -> None:
        """Cancel and close whatever is left, within a short time."""
        jobs = [*self._running.values(), *self._given_up]
        for job in jobs:
            job.scope.cancel()
        with trio.CancelScope(deadline=trio.current_time() + CLOSE_S, shield=True):
            for job in jobs:
                await job.ended.wait()
        with trio.CancelScope(shield=True):
            async with trio.open_nursery() as nursery:
                for connection in self._connections.values():
                    nursery.start_soon(connection.close)

    def _complete(self, job: _Job, completion: Op) -> None:
        if self._running.get(job.thread) is job:  # else we have given it up, and said so
            del self._running[job.thread]
            self._scheduler.complete(job.thread, completion, self.now())

    def _give_up(self, job: _Job, reason: str) -> None:
        job.scope.cancel()
        self._given_up = [before for before in self._given_up if not before.ended.is_set()]
        self._given_up.append(job)
        if isinstance(job.thread, int):
            self._connections.pop(job.thread, None)
        self._complete(job, _indeterminate(job.op, reason))

    async def _work(self, job: _Job) -> None:
        try:
            with job.scope:
                if isinstance(job.thread, int):
                    await self._ask(job, job.thread)
                else:
                    self._send.send_nowait((job, await self._nemesis(job.op)))
        except Exception as error:
            self._send.send_nowait((job, _indeterminate(job.op, f"{type(error).__name__}: {error}")))
        finally:
            job.ended.set()

    async def _ask(self, job: _Job, thread: int) -> None:
        connection = self._connections.get(thread)
        if connection is None:
            node = self._cluster.nodes[thread % len(self._cluster.nodes)]
            connection = self._connections[thread] = Connection(self._cluster, node)
        trusted = False
        try:
            completion = await perform(self._codec, connection, job.op, job.timeout_s)
            trusted = completion.type != "info" and not connection.doubtful
            self._send.send_nowait((job, completion))
        finally:
            if not trusted:
                if self._connections.get(thread) is connection:
                    del self._connections[thread]
                # In the background: closing may take a while, and the thread must not wait for it.
                trio.lowlevel.spawn_system_task(connection.close, name="close")


def _indeterminate(op: Op, reason: str) -> Op:
    return replace(op, type="info", error=f"indeterminate: {reason}")
