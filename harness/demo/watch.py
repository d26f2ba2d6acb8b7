"""A workload, watched: beside its clients, threads ask each node what it sees, and compare copies. It is
judged as it would be by itself.

Threads 0 to n-1 ask the node they are on for its status all the time; the next one looks at the copies of one
key after the other (of none: of nothing), once all is healed; the rest are the workload's clients.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from checkers.convergence import COPIES
from checkers.history import Op
from checkers.linear import Stream
from checkers.verdict import Checker
from harness.draw import fork
from harness.generator import Generator
from harness.generators import delay, each_thread, numbered, repeat, reserve, sequence, sleep, stagger
from harness.plan import Plan
from store.core.messages import Body, Report, Response, Status
from workloads.base import Workload

STATUS: Final = "status"
STATUS_INTERVAL_S: Final = 0.1
COPIES_INTERVAL_S: Final = 0.01


class Watched:
    """Implements `Workload`. `rate` is the clients' alone, per second; the plan's is for all threads
    together, and must be far above it. `healed_s`: when copies begin to be compared."""

    def __init__(
        self, work: Workload, keys: tuple[str, ...], plan: Plan, rate: float, healed_s: float
    ) -> None:
        self.name = work.name
        self._work = work
        self._keys = keys
        self._plan = plan
        self._rate = rate
        self._healed_s = healed_s

    def generator(self, seed: int) -> Generator:
        keys = self._keys
        nodes = len(self._plan.nodes)
        watch = each_thread(delay(STATUS_INTERVAL_S, repeat(Op(f=STATUS))))
        looks = numbered(lambda i: Op(f=COPIES, key=keys[i % len(keys)]) if keys else None)
        compare = sequence(sleep(self._healed_s), delay(COPIES_INTERVAL_S, looks))
        asking = stagger(1 / self._rate, self._work.generator(seed), fork(seed, "rate"))
        return reserve((nodes, watch), (1, compare), default=asking)

    def final(self) -> Generator | None:
        return self._work.final()

    def checkers(self) -> list[Checker]:
        return self._work.checkers()

    def stream(self) -> Stream | None:
        return None

    def encode(self, op: Op) -> Body:
        return Status() if op.f == STATUS else self._work.encode(op)

    def decode(self, op: Op, response: Response) -> Op:
        if op.f != STATUS:
            return self._work.decode(op, response)
        status = response.status if isinstance(response, Report) else {}
        return replace(op, type="ok", value={"partitioned_since": status.get("partitioned_since")})

    def changes_nothing(self, op: Op) -> bool:
        return op.f == STATUS or self._work.changes_nothing(op)

    def node_of(self, process: int) -> str:
        return self._plan.nodes[process % self._plan.concurrency % len(self._plan.nodes)]
