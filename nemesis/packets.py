"""Packets between nodes that are late, lost, doubled, out of order, spoilt or few.

The kinds and the middle of what is drawn are those of jepsen.nemesis.combined, where every parameter is
fixed (50 ms, 20 %, 1 Mbit/s); left out are its correlations. What a node sends suffers, not what it hears.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import msgspec

from checkers.history import Op
from harness.cluster.base import Behaviour, Cluster, Evidence, Packets
from harness.draw import choice, fork
from harness.generator import Generator
from nemesis.amounts import FRACTION, Amount, Measure, asked_or, parse_amount, split_amount
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, parse_kind, parse_target, roles_of

DELAYS_MS: Final = (10, 20, 50, 100, 200)
FRACTIONS: Final = (0.05, 0.1, 0.2, 0.3, 0.4)
RATES_KBIT: Final = (250, 500, 1000, 2000, 4000)
TARGETS: Final = ("one", "minority", "majority", "all")
DELAY: Final = Measure("DELAY_MS", 1, 2000)


class Kind(NamedTuple):
    """`behave(asked, seed)` takes of `amount` what was asked for, and draws the rest."""

    amount: Amount
    behave: Callable[[Sequence[float], int], Behaviour]


def _delay(asked: Sequence[float], seed: int) -> Behaviour:
    delay_ms = asked_or(choice(seed, DELAYS_MS), asked)
    return Behaviour(delay_ms=delay_ms, jitter_ms=asked_or(delay_ms / 5, asked, 1))


def _reorder(asked: Sequence[float], seed: int) -> Behaviour:
    return Behaviour(
        delay_ms=asked_or(choice(fork(seed, "delay"), DELAYS_MS), asked, 1),
        reorder=asked_or(choice(fork(seed, "fraction"), FRACTIONS), asked),
    )


def _fraction(asked: Sequence[float], seed: int) -> float:
    return asked_or(choice(seed, FRACTIONS), asked)


def _rate(asked: Sequence[float], seed: int) -> Behaviour:
    return Behaviour(rate_kbit=int(asked_or(choice(seed, RATES_KBIT), asked)))


KINDS: Final[dict[str, Kind]] = {
    "delay": Kind(Amount((DELAY, Measure("DEVIATION_MS", 0, 2000))), _delay),
    "loss": Kind(FRACTION, lambda asked, seed: Behaviour(loss=_fraction(asked, seed))),
    "duplicate": Kind(FRACTION, lambda asked, seed: Behaviour(duplicate=_fraction(asked, seed))),
    "reorder": Kind(Amount((Measure("FRACTION", 0.001, 0.4, whole=False), DELAY)), _reorder),
    "corrupt": Kind(FRACTION, lambda asked, seed: Behaviour(corrupt=_fraction(asked, seed))),
    "rate": Kind(Amount((Measure("RATE_KBIT", 100, 10_000),)), _rate),
}
"""What may happen to packets. The limits are those of what can be measured on hosts: of what is overtaken the
delay shows in the middle one of all rounds."""


class Shaped(msgspec.Struct, frozen=True):
    """What was chosen, as the value of the operation."""

    target: str
    nodes: list[str]
    kind: str
    behaviour: Behaviour


class PacketsFault:
    """`choice` is `KIND[=AMOUNT][@TARGET]`, with one of `KINDS`; without one, each injection draws a kind."""

    name = "packets"
    summary = "delay, lose, double, reorder or spoil packets between nodes, or limit their rate; then no more"
    begins = frozenset({"packets"})
    ends = frozenset({"packets-end"})

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        choice, amount = split_amount(choice)
        self._kinds, target = parse_kind(self.name, choice, KINDS, amounts=True)
        self._asked = parse_amount(f"packets:{self._kinds[0]}", amount, KINDS[self._kinds[0]].amount)
        if self._kinds[0] == "delay" and len(self._asked) == 2 and self._asked[1] > self._asked[0]:
            raise ValueError(f"packets:delay={amount}: the deviation is more than the delay")
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
        behaviour = KINDS[kind].behave(self._asked, fork(seed, "behaviour"))
        return nemesis_op(f, msgspec.to_builtins(Shaped(target.target, target.nodes, kind, behaviour)))

    def _inject(self, seed: int) -> Op:
        return draw_injection(self, "packets", self._allowed, self._nodes, seed)
