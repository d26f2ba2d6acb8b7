"""Packets between nodes that are late, lost, doubled, out of order, spoilt or few.

The kinds and the middle of what is drawn are those of jepsen.nemesis.combined, where every parameter is
fixed (50 ms, 20 %, 1 Mbit/s); left out are its correlations. What a node sends suffers, not what it hears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.cluster.base import Behaviour, Cluster, Evidence, Packets
from harness.draw import choice, fork
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, parse_kind, parse_target, roles_of

DELAYS_MS: Final = (10, 20, 50, 100, 200)
FRACTIONS: Final = (0.05, 0.1, 0.2, 0.3, 0.4)
RATES_KBIT: Final = (250, 500, 1000, 2000, 4000)
TARGETS: Final = ("one", "minority", "majority", "all")


def _delay(seed: int) -> Behaviour:
    delay_ms = choice(seed, DELAYS_MS)
    return Behaviour(delay_ms=delay_ms, jitter_ms=delay_ms / 5)


def _reorder(seed: int) -> Behaviour:
    return Behaviour(
        delay_ms=choice(fork(seed, "delay"), DELAYS_MS), reorder=choice(fork(seed, "fraction"), FRACTIONS)
    )


KINDS: Final[dict[str, Callable[[int], Behaviour]]] = {
    "delay": _delay,
    "loss": lambda seed: Behaviour(loss=choice(seed, FRACTIONS)),
    "duplicate": lambda seed: Behaviour(duplicate=choice(seed, FRACTIONS)),
    "reorder": _reorder,
    "corrupt": lambda seed: Behaviour(corrupt=choice(seed, FRACTIONS)),
    "rate": lambda seed: Behaviour(rate_kbit=choice(seed, RATES_KBIT)),
}
"""What may happen to packets, with what a seed draws of it."""


class Shaped(msgspec.Struct, frozen=True):
    """What was chosen, as the value of the operation."""

    target: str
    nodes: list[str]
    kind: str
    behaviour: Behaviour


class PacketsFault:
    """`choice` is `KIND[@TARGET]`, with one of `KINDS`; without one, each injection draws a kind."""

    name = "packets"
    summary = "delay, lose, double, reorder or spoil packets between nodes, or limit their rate; then no more"
    begins = frozenset({"packets"})
    ends = frozenset({"packets-end"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._kinds, target = parse_kind(self.name, choice, KINDS)
        self._allowed = parse_target(f"packets:{self._kinds[0]}", target, TARGETS, nodes, roles=True)
        self.roles = roles_of(self._allowed, nodes)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Packets)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("packets-end")

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Packets):
            raise unsupported(self.name, cluster)
        if op.f == "packets-end":
            return await cluster.unshape()
        chosen = msgspec.convert(op.value, Shaped)
        return await cluster.shape(tuple(chosen.nodes), chosen.behaviour)

    def aim(self, f: str, target: Target, seed: int) -> Op:
        kind = choice(fork(seed, "kind"), self._kinds)
        behaviour = KINDS[kind](fork(seed, "behaviour"))
        return nemesis_op(f, msgspec.to_builtins(Shaped(target.target, target.nodes, kind, behaviour)))

    def _inject(self, seed: int) -> Op:
        return draw_injection(self, "packets", self._allowed, self._nodes, seed)
