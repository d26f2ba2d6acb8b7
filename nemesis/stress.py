"""Hosts whose processors or memory are in use by others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.cluster.base import Cluster, Evidence, Stress
from harness.draw import choice, fork
from harness.generator import Generator
from nemesis.amounts import FRACTION, asked_or, parse_amount, split_amount
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, nodes_of, parse_kind, parse_target, roles_of

KINDS: Final = {"cpu": None, "memory": FRACTION}
"""What may be in use, and how much of it can be asked for."""
TARGETS: Final = ("one", "minority", "majority", "all")
FRACTIONS: Final = (0.5, 0.75, 0.9)
"""Of the memory that is available, how much is taken."""


class Hog(msgspec.Struct, frozen=True):
    """What was chosen, as the value of `stress-memory`."""

    target: str
    nodes: list[str]
    fraction: float


class StressFault:
    """`choice` is `KIND[=AMOUNT][@TARGET]`, with one of `KINDS`; without one, each injection draws a kind."""

    name = "stress"
    summary = "keep every processor busy, or take most of the memory, and give them back"
    begins = frozenset(f"stress-{kind}" for kind in KINDS)
    ends = frozenset({"stress-end"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        choice, amount = split_amount(choice)
        self._kinds, target = parse_kind(self.name, choice, KINDS, amounts=True)
        self._asked = parse_amount(f"stress:{self._kinds[0]}", amount, KINDS[self._kinds[0]])
        self._allowed = parse_target(f"stress:{self._kinds[0]}", target, TARGETS, nodes, roles=True)
        self.roles = roles_of(self._allowed, nodes)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Stress)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("stress-end")

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Stress):
            raise unsupported(self.name, cluster)
        match op.f:
            case "stress-cpu":
                return await cluster.burn_cpu(nodes_of(op))
            case "stress-memory":
                return await cluster.hog_memory(nodes_of(op), msgspec.convert(op.value, Hog).fraction)
        return await cluster.relax()

    def aim(self, f: str, target: Target, seed: int) -> Op:
        if f == "stress-cpu":
            return nemesis_op(f, msgspec.to_builtins(target))
        fraction = asked_or(choice(fork(seed, "fraction"), FRACTIONS), self._asked)
        return nemesis_op(f, msgspec.to_builtins(Hog(target.target, target.nodes, fraction)))

    def _inject(self, seed: int) -> Op:
        kind = choice(fork(seed, "kind"), self._kinds)
        return draw_injection(self, f"stress-{kind}", self._allowed, self._nodes, fork(seed, "target"))
