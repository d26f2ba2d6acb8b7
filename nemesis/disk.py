"""Disks that are full, slow, or forget: of each kind, what the cluster is able to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Disk, Evidence
from harness.draw import choice, fork
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import draw_target, nodes_of

KINDS: Final = {"full": ("one", "minority"), "slow": ("one", "minority", "all"), "rot": ("one", "majority")}
"""What may happen to disks, and to how many at a time."""


class DiskFault:
    """`choice` is one of `KINDS`; without one, each injection draws one."""

    name = "disk"
    summary = "fill disks, slow them down, or let single copies rot, and make room again"
    begins = frozenset(f"disk-{kind}" for kind in KINDS)
    ends = frozenset({"disk-mend"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        if choice is not None and choice not in KINDS:
            raise ValueError(f"disk:{choice}: must be {', '.join(KINDS)}")
        self._nodes = tuple(nodes)
        self._kinds = tuple(KINDS) if choice is None else (choice,)

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
            case "disk-rot":
                return await cluster.rot(nodes_of(op))
        return await cluster.mend_disks()

    def _inject(self, seed: int) -> Op:
        kind = choice(fork(seed, "kind"), self._kinds)
        target = draw_target(KINDS[kind], self._nodes, fork(seed, "target"))
        return nemesis_op(f"disk-{kind}", msgspec.to_builtins(target))
