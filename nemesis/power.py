"""The power of nodes fails: they end, and what they wrote and did not sync is lost."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Evidence, Kill, Power
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.process import start_again
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, nodes_of, parse_target, roles_of


class PowerFault:
    """`choice` is a target; without one, each injection draws one of `targets`. All is likely, as only
    that loses for good what every node acknowledged before it had synced it."""

    name = "power"
    summary = "let the power of nodes fail: what they did not sync is lost; then start them again"
    begins = frozenset({"power-off"})
    ends = frozenset({"power-on"})
    targets = ("one", "minority", "majority", "all", "all")

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._allowed = parse_target(self.name, choice, self.targets, nodes, roles=True)
        self.roles = roles_of(self._allowed, nodes)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Power) and isinstance(cluster, Kill)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("power-on", msgspec.to_builtins(Target("all", list(self._nodes))))

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Power) or not isinstance(cluster, Kill):
            raise unsupported(self.name, cluster)
        if op.f in self.begins:
            return await cluster.power_off(nodes_of(op))
        return await start_again(op, cluster)

    def aim(self, f: str, target: Target, seed: int) -> Op:
        return nemesis_op(f, msgspec.to_builtins(target))

    def _inject(self, seed: int) -> Op:
        return draw_injection(self, "power-off", self._allowed, self._nodes, seed)
