"""Nodes that come and go on purpose: owners leave, spares join, dead ones are replaced, one comes back with
nothing on its disk. Each injection is one change; the healing makes the first members the owners again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Evidence, Membership
from harness.draw import choice, fork
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle

ATTEMPT_S_MAX: Final = 10.0
KINDS: Final = ("leave", "join", "replace", "wipe")


class Change(msgspec.Struct, frozen=True):
    """What was chosen: which node, out of those that are there at first; spares are the cluster's choice."""

    nodes: list[str]


class Attempt(msgspec.Struct, frozen=True):
    """A healing while other faults may stand in its way: so long it keeps the nemesis from healing those."""

    limit_s: float


class MembershipFault:
    """`choice` is one of `KINDS`; without one, each injection draws one."""

    name = "membership"
    summary = "let owners leave, spares join, dead nodes be replaced, a node lose its disk; then restore"
    begins = frozenset(f"member-{kind}" for kind in KINDS)
    ends = frozenset({"members-restore"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        if choice is not None and choice not in KINDS:
            raise ValueError(f"membership:{choice}: must be {', '.join(KINDS)}")
        self._nodes = tuple(nodes)
        self._kinds = KINDS if choice is None else (choice,)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Membership)

    def generator(self, interval_s: float, seed: int) -> Generator:
        attempt = Attempt(min(ATTEMPT_S_MAX, 2 * interval_s + 1))
        heal = nemesis_op("members-restore", msgspec.to_builtins(attempt))
        return fault_cycle(interval_s, seed, self._inject, heal)

    def healing(self) -> Op:
        return nemesis_op("members-restore")

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Membership):
            raise unsupported(self.name, cluster)
        if op.f in self.ends:
            if op.value is None:
                return await cluster.restore()
            return await cluster.restore(msgspec.convert(op.value, Attempt).limit_s)
        (node,) = msgspec.convert(op.value, Change).nodes
        match op.f:
            case "member-leave":
                return await cluster.leave(node)
            case "member-join":
                return await cluster.join(cluster.spares[0])
            case "member-replace":
                return await cluster.replace(node, cluster.spares[0])
        return await cluster.wipe(node)

    def _inject(self, seed: int) -> Op:
        kind = choice(fork(seed, "kind"), self._kinds)
        node = choice(fork(seed, "node"), self._nodes)
        return nemesis_op(f"member-{kind}", msgspec.to_builtins(Change([node])))
