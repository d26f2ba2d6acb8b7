"""Nodes that clients cannot reach, while the nodes go on talking with each other."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from checkers.history import Op
from harness.cluster.base import ClientPartition, Cluster, Evidence
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, nodes_of, parse_target, roles_of


class ClientsFault:
    """`choice` is a target; without one, each injection draws one of `targets`."""

    name = "clients"
    summary = "cut clients off from nodes, which go on hearing each other, and let them in again"
    begins = frozenset({"cut-clients"})
    ends = frozenset({"heal-clients"})
    targets = ("one", "minority", "majority")

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._allowed = parse_target(self.name, choice, self.targets, nodes, roles=True)
        self.roles = roles_of(self._allowed, nodes)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, ClientPartition)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("heal-clients")

    def aim(self, f: str, target: Target, seed: int) -> Op:
        return nemesis_op(f, msgspec.to_builtins(target))

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, ClientPartition):
            raise unsupported(self.name, cluster)
        if op.f == "heal-clients":
            return await cluster.heal_clients()
        return await cluster.cut_clients(nodes_of(op))

    def _inject(self, seed: int) -> Op:
        return draw_injection(self, "cut-clients", self._allowed, self._nodes, seed)
