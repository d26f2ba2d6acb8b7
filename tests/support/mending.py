"""A simulated cluster whose disks a test may look at, write on and damage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.cluster.base import Lost, NotSent
from harness.cluster.sim import SimCluster, SimOptions
from harness.sim.disk import Disk
from harness.sim.network import NetworkOptions
from harness.sim.world import SECOND
from store.core.machine import Persist
from store.core.messages import Body, Cell, Datum, Record, Response, Status
from store.core.node import Node
from store.core.options import MS, Options

FAST = Options(probe_nanos=200 * MS, compare_nanos=200 * MS, scrub_nanos=0)
"""Everything that mends, in a hurry."""
COMPARING = Options(probe_nanos=0, compare_nanos=200 * MS, scrub_nanos=0)


class Mending:
    """`nodes` of n1, n2, ..., each key kept by `replication` of them. Nothing is started."""

    def __init__(
        self,
        seed: int = 1,
        nodes: int = 3,
        replication: int = 3,
        core: Options = FAST,
        loss: float = 0.0,
        twice: float = 0.0,
        make: Callable[..., Any] = Node,
    ) -> None:
        self.names = tuple([f"n{i + 1}" for i in range(nodes)])
        network = NetworkOptions(loss_fraction=loss, duplicate_fraction=twice)
        self.cluster = SimCluster(
            self.names, replication, seed, SimOptions(network=network, core=core), make=make
        )
        self.world = self.cluster.world

    def disk(self, node: str) -> Disk:
        return self.cluster._hosts[node].disk

    def plant(self, node: str, storage_key: str, record: Record | None) -> None:
        """As if it had been written there before."""
        self.disk(node)._keep([Persist(0, storage_key, record)])

    def data(self, node: str, prefix: str = "v/") -> dict[str, Any]:
        """What is durable and can be read, by storage key without its prefix."""
        disk = self.disk(node)
        return {key[len(prefix) :]: disk.get(key) for key in disk.readable(prefix)}

    def start(self, *nodes: str) -> None:
        self.world.complete(self.cluster.start(nodes or self.names))

    def kill(self, *nodes: str) -> None:
        self.world.complete(self.cluster.kill(nodes))

    def cut_off(self, *nodes: str) -> None:
        """Nobody else hears these, nor they anybody else."""
        inside, outside = frozenset(nodes), frozenset(self.names) - frozenset(nodes)
        grudge = {**dict.fromkeys(inside, outside), **dict.fromkeys(outside, inside)}
        self.world.complete(self.cluster.cut(grudge))

    def heal(self) -> None:
        self.world.complete(self.cluster.heal())

    def run(self, seconds: float) -> None:
        self.world.run_until(self.world.now + int(seconds * SECOND))

    def ask(self, node: str, body: Body, timeout_s: float = 2.0) -> Response | None:
        """The node's answer; None if there is none."""
        return self.world.complete(self._ask(node, body, timeout_s))

    async def _ask(self, node: str, body: Body, timeout_s: float) -> Response | None:
        try:
            session = await self.cluster.connect(node)
            response = await session.request(body, timeout_s)
            await session.close()
        except (NotSent, Lost):
            return None
        return response

    def status(self, node: str) -> dict[str, Any]:
        report = self.ask(node, Status())
        assert report is not None
        status: dict[str, Any] = report.status  # type: ignore[union-attr]
        return status

    def events(self, kind: str) -> list[str]:
        """What has happened on any node of that kind: `time kind fields`, node by node."""
        return [
            f"{node}: {line.strip()}"
            for node, host in self.cluster._hosts.items()
            for line in host._log
            if f" {kind} {{" in line
        ]

    def until(self, true: Callable[[], bool], limit_s: float) -> float:
        """Let time pass until `true()`; how many seconds that took."""
        began = self.world.now
        while not true():
            assert self.world.now - began < limit_s * SECOND, f"not so after {limit_s} s"
            self.run(0.1)
        return (self.world.now - began) / SECOND

    def alike(self) -> bool:
        """Whether all nodes keep the same data, for as many replicas as there are nodes."""
        first = self.data(self.names[0])
        return all(self.data(node) == first for node in self.names[1:])


def cell(at: int, value: bytes | None, by: str = "n1") -> Datum:
    return Cell((at, 0, by), value)
