"""When a fault comes: a cycle of quiet, inject, hold, heal, and again; a pure generator value.
What a fault has to prepare comes before the injection, and is held as long as that is.

Quiet time is uniform in 0..interval and hold time in the middle half of it, each from the completion of what
was before (at first, from when the generator is first asked); so a fault comes about once in an interval and
is there about half the time. Until an operation is completed, its fault's next one does not come.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from checkers.history import NEMESIS, Op
from harness.context import Context
from harness.draw import fork, mix64, uniform_int
from harness.generator import PENDING, Answer, Pending, fill


@dataclass(frozen=True, slots=True)
class FaultCycle:
    """`inject` gives the injection that a seed draws; `heal` undoes any of them; `prepare`, if there
    is one, comes before each.

    `done` counts the operations that were handed out; `due_ns` is when the next one is, or None while the
    last has not been completed.
    """

    interval_ns: int
    seed: int
    inject: Callable[[int], Op]
    heal: Op
    prepare: Op | None = None
    done: int = 0
    due_ns: int | None = None

    def op(self, ctx: Context) -> Answer:
        if self.due_ns is None:
            if self.done > 0 or not ctx.free:
                return PENDING
            begun = self._after(ctx.time)
            return Pending(begun.due_ns, begun)
        if self.due_ns > ctx.time:
            return Pending(self.due_ns)
        op = fill(self._next(), ctx)
        return op if isinstance(op, Pending) else (op, replace(self, done=self.done + 1, due_ns=None))

    def update(self, ctx: Context, event: Op) -> FaultCycle:
        out = self.done > 0 and self.due_ns is None
        if out and event.process == NEMESIS and event.type != "invoke":
            return self._after(event.time)
        return self

    def _step(self) -> tuple[int, int]:
        """Which step of the cycle is next, and how many there are."""
        steps = 2 if self.prepare is None else 3
        return self.done % steps, steps

    def _after(self, time: int) -> FaultCycle:
        shortest_ns = self.interval_ns // 4 if self._step()[0] else 0
        draw = fork(mix64(self.seed, self.done), "wait")
        wait_ns = shortest_ns + uniform_int(draw, self.interval_ns - 2 * shortest_ns + 1)
        return replace(self, due_ns=time + wait_ns)

    def _next(self) -> Op:
        step, steps = self._step()
        if step == steps - 1:
            op = self.heal
        elif step == 0 and self.prepare is not None:
            op = self.prepare
        else:
            op = self.inject(fork(mix64(self.seed, self.done), "inject"))
        return Op(process=NEMESIS, f=op.f, value=op.value)


def fault_cycle(
    interval_s: float, seed: int, inject: Callable[[int], Op], heal: Op, prepare: Op | None = None
) -> FaultCycle:
    """An injection about every `interval_s` seconds; raises ValueError unless that is positive."""
    if not interval_s > 0:
        raise ValueError(f"the time between faults must be more than 0 seconds, not {interval_s}")
    return FaultCycle(round(interval_s * 1_000_000_000), seed, inject, heal, prepare)
