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
from nemesis.targets import Target, draw_injection, parse_kind, parse_target, roles_of

ATTEMPT_S_MAX: Final = 10.0
KINDS: Final = ("leave", "join", "replace", "wipe")
TARGETS: Final = ("one",)


class Change(msgspec.Struct, frozen=True):
    """What was chosen: which node, out of those that are there at first; spares are the cluster's choice."""

    nodes: list[str]


class Attempt(msgspec.Struct, frozen=True):
    """A healing while other faults may stand in its way: so long it keeps the nemesis from healing those."""

    limit_s: float


class MembershipFault:
    """`choice` is `KIND[@TARGET]`, with one of `KINDS`, and a target of which one node is drawn; without one,
    each injection draws a kind. Who joins is always a spare."""

    name = "membership"
    summary = "let owners leave, spares join, dead nodes be replaced, a node lose its disk; then restore"
    begins = frozenset(f"member-{kind}" for kind in KINDS)
    ends = frozenset({"members-restore"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._kinds, target = parse_kind(self.name, choice, KINDS)
        if self._kinds == ("join",) and target is not None:
            raise ValueError(f"membership:{choice}: a join has no target, as it is always a spare that joins")
        self._allowed = parse_target(f"membership:{self._kinds[0]}", target, TARGETS, nodes, roles=True)
        self.roles = roles_of(self._allowed, nodes)

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

    def aim(self, f: str, target: Target, seed: int) -> Op:
        return nemesis_op(f, msgspec.to_builtins(Change([choice(fork(seed, "node"), target.nodes)])))

    def _inject(self, seed: int) -> Op:
        kind = choice(fork(seed, "kind"), self._kinds)
        return draw_injection(self, f"member-{kind}", self._allowed, self._nodes, seed)
