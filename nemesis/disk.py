"""Disks that are full or slow, and disks that forget single records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Disk, Evidence, Rot
from harness.draw import choice, fork
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, nodes_of, parse_kind, parse_target, roles_of

KINDS: Final = {"full": ("one", "minority"), "slow": ("one", "minority", "all")}
"""What may happen to disks, and to how many at a time."""


class DiskFault:
    """`choice` is `KIND[@TARGET]`, with one of `KINDS`; without one, each injection draws a kind."""

    name = "disk"
    summary = "fill the disks of nodes or slow them down, then make room or speed them up again"
    begins = frozenset(f"disk-{kind}" for kind in KINDS)
    ends = frozenset({"disk-mend"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        kinds, target = parse_kind(self.name, choice, KINDS)
        self._kinds = {
            kind: parse_target(f"disk:{kind}", target, KINDS[kind], nodes, roles=True) for kind in kinds
        }
        self.roles = frozenset[str]().union(*(roles_of(allowed, nodes) for allowed in self._kinds.values()))

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Disk)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("disk-mend")

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Disk):
            raise unsupported(self.name, cluster)
        match op.f:
            case "disk-full":
                return await cluster.fill(nodes_of(op))
            case "disk-slow":
                return await cluster.slow(nodes_of(op))
        return await cluster.mend_disks()

    def aim(self, f: str, target: Target, seed: int) -> Op:
        return nemesis_op(f, msgspec.to_builtins(target))

    def _inject(self, seed: int) -> Op:
        kind = choice(fork(seed, "kind"), tuple(self._kinds))
        return draw_injection(self, f"disk-{kind}", self._kinds[kind], self._nodes, fork(seed, "target"))


class RotFault:
    """`choice` is a target; without one, each injection draws one of `targets`. The cluster leaves a good
    copy of everything, whoever is struck."""

    name = "rot"
    summary = "let single copies of records rot on their disks, each time of other keys, and see them mended"
    begins = frozenset({"rot"})
    ends = frozenset({"rot-survey"})
    targets = ("one", "majority")

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._allowed = parse_target(self.name, choice, self.targets, nodes, roles=True)
        self.roles = roles_of(self._allowed, nodes)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Rot)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("rot-survey")

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Rot):
            raise unsupported(self.name, cluster)
        return await (cluster.survey() if op.f in self.ends else cluster.rot(nodes_of(op)))

    def aim(self, f: str, target: Target, seed: int) -> Op:
        return nemesis_op(f, msgspec.to_builtins(target))

    def _inject(self, seed: int) -> Op:
        return draw_injection(self, "rot", self._allowed, self._nodes, seed)
