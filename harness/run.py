"""One run: from a plan to a recorded history, on a cluster that is left with nothing behind.

Whatever happens in between (ctrl-C, a node that does not start, a full disk), faults are healed, nodes are
stopped and what was recorded is kept; what it *means* is for harness/judge.py to say.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

import trio

from checkers.history import Op
from checkers.linear import Stream
from harness.client import Codec
from harness.cluster.base import Cluster, ClusterError, Noting
from harness.cluster.sim import SimCluster
from harness.draw import fork
from harness.generator import Generator
from harness.generators import any_of, clients, nemesis, phases, stagger, time_limit
from harness.interpreter import interpret
from harness.plan import Plan
from harness.recorder import Recorder, RecorderError
from harness.report.artifacts import RunDir
from harness.report.live import Live
from harness.scheduler import Scheduler
from harness.sightings import Sightings
from harness.sim.interpreter import simulate
from harness.stillness import Span, Stillness
from harness.stop import StopWish

FAULT_TIMEOUT_S = 90.0
"""How long one nemesis operation may take on a real cluster."""

GRACE_S = 180.0
"""How long after its time limit a run may take, at most, to heal and to finish what is under way."""

WISH_POLL_S = 0.1


class Work(Codec, Protocol):
    """What a run needs of a workload."""

    def generator(self, seed: int) -> Generator: ...

    def final(self) -> Generator | None: ...

    def stream(self) -> Stream | None: ...


class Faults(Protocol):
    """What a run needs of all its faults together."""

    def generator(self, interval_s: float, seed: int) -> Generator: ...

    def healing(self) -> Generator: ...

    async def invoke(self, op: Op, cluster: Cluster) -> Op: ...


@dataclass(slots=True)
class Recorded:
    """What a run left. `interrupted_s`: when it was told to stop early, in seconds since its start.
    `failures`: why it could not start or not go on, a sentence each; `notes`: what else is to be told;
    `stood_still`: when the harness did."""

    history: list[Op] = field(default_factory=list)
    digest: str = ""
    interrupted_s: float | None = None
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    stood_still: list[Span] = field(default_factory=list)


def schedule(plan: Plan, work: Work, faults: Faults) -> Generator:
    """Clients and faults side by side for as long as the plan says; then the healing, then a last look."""
    rate_seed, work_seed, fault_seed = (fork(plan.seed, name) for name in ("rate", "workload", "nemesis"))
    asking = clients(stagger(1 / plan.rate, work.generator(work_seed), rate_seed))
    harm = nemesis(faults.generator(plan.fault_interval_s, fault_seed))
    storm = time_limit(plan.time_limit_s, any_of(asking, harm))
    last = work.final()
    return phases(storm, nemesis(faults.healing()), *([] if last is None else [clients(last)]))


def execute(
    plan: Plan, work: Work, faults: Faults, cluster: Cluster, run_dir: RunDir, live: Live, stop: StopWish
) -> Recorded:
    """Run `plan`. Raises `RecorderError` only if not even the history's file can be made, and what nobody has
    foreseen; what was recorded until then is in the file."""
    recorder = Recorder(run_dir.history)
    recorded = Recorded(recorder.history)

    stream = work.stream() if plan.stop_on_violation else None

    def on_event(op: Op) -> None:
        recorder.record(op)
        live.on_op(op)
        if stream is not None and stream.feed(op) is not None:
            stop.wished = True

    scheduler = Scheduler(schedule(plan, work, faults), plan.concurrency, on_event)
    one = _Run(plan, work, faults, cluster, run_dir, live, stop, recorder, scheduler, recorded)
    try:
        if isinstance(cluster, SimCluster):
            one.simulated(cluster)
        else:
            trio.run(one.real)
    except* (ClusterError, RecorderError) as errors:
        recorded.failures.append(str(_first(errors)))
    finally:
        try:
            recorder.close()
        except RecorderError as error:
            if str(error) not in recorded.failures:
                recorded.failures.append(str(error))
    recorded.digest = recorder.digest
    return recorded


@dataclass(slots=True)
class _Run:
    plan: Plan
    work: Work
    faults: Faults
    cluster: Cluster
    run_dir: RunDir
    live: Live
    stop: StopWish
    recorder: Recorder
    scheduler: Scheduler
    recorded: Recorded

    def simulated(self, cluster: SimCluster) -> None:
        world = cluster.world

        def on_progress(now: int) -> None:
            self.recorder.tick()
            sightings.look(cluster, now / 1e9)
            self.live.tick(now / 1e9, cluster.states())

        world.complete(cluster.setup(self.run_dir.path))
        start = world.now
        sightings = Sightings(self.run_dir.sightings, self.plan.time_limit_s)
        self.live.phase("running")
        try:
            simulate(
                self.scheduler,
                cluster,
                self.work,
                partial(self.faults.invoke, cluster=cluster),
                op_timeout_s=self.plan.op_timeout_s,
                should_stop=lambda: self._wished((world.now - start) / 1e9),
                healing=self.faults.healing,
                on_progress=on_progress,
            )
        finally:
            sightings.close()
            world.complete(cluster.teardown())

    def _wished(self, elapsed_s: float) -> bool:
        if self.stop.wished and self.recorded.interrupted_s is None:
            self.recorded.interrupted_s = elapsed_s
            self.live.phase("stopping: healing, and finishing what is under way")
        return self.stop.wished

    async def real(self) -> None:
        self.live.phase("starting nodes")
        try:
            if await self._is_set_up():
                self.live.phase("running")
                await self._interpreted()
            self.live.phase("stopping nodes")
        finally:
            with trio.CancelScope(shield=True):
                await self.cluster.teardown()

    async def _is_set_up(self) -> bool:
        """The cluster is there; it is broken off if we are told to stop, as hosts may take minutes."""
        is_there = False
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._cancel_if_wished, nursery.cancel_scope)
            await self.cluster.setup(self.run_dir.path)
            is_there = True
            nursery.cancel_scope.cancel()
        return is_there

    async def _cancel_if_wished(self, scope: trio.CancelScope) -> None:
        while not self._wished(0.0):  # noqa: ASYNC110 (a signal sets it)
            await trio.sleep(WISH_POLL_S)
        scope.cancel()

    async def _interpreted(self) -> None:
        start = trio.current_time()
        stillness = Stillness(self.run_dir.stood_still)
        self.recorded.stood_still = stillness.spans

        def elapsed_s() -> float:
            return trio.current_time() - start

        def tick() -> None:
            stillness.tick(elapsed_s())
            self.recorder.tick()
            self.live.tick(elapsed_s(), self.cluster.states())

        def should_stop() -> bool:
            return bool(self.cluster.unexpected_deaths()) or self._wished(elapsed_s())

        sightings = Sightings(self.run_dir.sightings, self.plan.time_limit_s)
        try:
            async with trio.open_nursery() as beside:
                beside.start_soon(sightings.ask, self.cluster, elapsed_s)
                await interpret(
                    self.scheduler,
                    self.cluster,
                    self.work,
                    partial(self.faults.invoke, cluster=self.cluster),
                    op_timeout_s=self.plan.op_timeout_s,
                    nemesis_timeout_s=FAULT_TIMEOUT_S,
                    hard_deadline_s=self.plan.time_limit_s + GRACE_S,
                    should_stop=should_stop,
                    healing=self.faults.healing,
                    tick=tick,
                )
                beside.cancel_scope.cancel()
        finally:
            sightings.close()
            self.recorded.failures += self.cluster.unexpected_deaths()
            if isinstance(self.cluster, Noting):
                self.recorded.notes += self.cluster.notes()


def _first(group: BaseExceptionGroup[Exception]) -> BaseException:
    """The first of the exceptions in a group of groups."""
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
