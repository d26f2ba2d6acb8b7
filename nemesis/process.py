"""Faults of whole processes: killed without warning and started again, or frozen and resumed."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Evidence, Kill, Pause
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, nodes_of, parse_target, roles_of


async def start_again(op: Op, cluster: Kill) -> Evidence:
    """Start those nodes of the operation that do not run, whoever ended them: which is why it is no evidence
    that a fault has bitten."""
    started = await cluster.start(nodes_of(op))
    return Evidence(False, started.detail)


class _ProcessFault:
    """`choice` is a target; without one, each injection draws one of `targets`, which names the likelier ones
    more often."""

    name: str
    begin: str
    end: str
    targets: tuple[str, ...]

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self.begins = frozenset({self.begin})
        self.ends = frozenset({self.end})
        self._nodes = tuple(nodes)
        self._allowed = parse_target(self.name, choice, self.targets, nodes, roles=True)
        self.roles = roles_of(self._allowed, nodes)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op(self.end, msgspec.to_builtins(Target("all", list(self._nodes))))

    def aim(self, f: str, target: Target, seed: int) -> Op:
        return nemesis_op(f, msgspec.to_builtins(target))

    def _inject(self, seed: int) -> Op:
        return draw_injection(self, self.begin, self._allowed, self._nodes, seed)


class KillFault(_ProcessFault):
    name = "kill"
    summary = "end node processes with SIGKILL, and start them again from their disks"
    begin, end = "kill", "start"
    targets = ("one", "one", "one", "minority", "minority", "majority", "majority", "all")

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Kill)

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Kill):
            raise unsupported(self.name, cluster)
        if op.f == self.end:
            return await start_again(op, cluster)
        return await cluster.kill(nodes_of(op))


class PauseFault(_ProcessFault):
    name = "pause"
    summary = "freeze node processes with SIGSTOP, and let them go on"
    begin, end = "pause", "resume"
    targets = ("one", "one", "minority", "majority")

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Pause)

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Pause):
            raise unsupported(self.name, cluster)
        act = cluster.pause if op.f == self.begin else cluster.resume
        return await act(nodes_of(op))
