"""Wall clocks that jump or run at a wrong rate, and are set right again (after jepsen.nemesis.time)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.cluster.base import Clock, Cluster, Drift, Evidence
from harness.draw import fork, uniform_int
from harness.generator import Generator
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import draw_target, parse_target

EXPONENT_MIN: Final = 2
EXPONENT_MAX: Final = 18


class Bump(msgspec.Struct, frozen=True):
    """What was chosen, as the value of the operation."""

    target: str
    offsets_ms: dict[str, int]


def draw_offset_ms(seed: int) -> int:
    """Between 2**2 and 2**18 ms (4 ms to 4.4 min) to either side; every power of two is equally likely."""
    low = 1 << EXPONENT_MIN + uniform_int(fork(seed, "exponent"), EXPONENT_MAX - EXPONENT_MIN)
    magnitude = low + uniform_int(fork(seed, "magnitude"), low)
    return -magnitude if uniform_int(fork(seed, "sign"), 2) else magnitude


def draw_bump(targets: Sequence[str], nodes: Sequence[str], seed: int) -> Bump:
    """An offset of its own for each node of one of `targets`."""
    target = draw_target(targets, nodes, seed)
    return Bump(target.target, {node: draw_offset_ms(fork(seed, node)) for node in target.nodes})


class ClockFault:
    """`choice` is a target; without one, each injection draws one of `targets`."""

    name = "clock"
    summary = "make wall clocks jump by 4 ms to 4 minutes to either side, and set them right again"
    begins = frozenset({"clock-bump"})
    ends = frozenset({"clock-reset"})
    targets = ("one", "minority", "majority", "all")

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._allowed = parse_target(self.name, choice, self.targets, nodes)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Clock)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("clock-reset")

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Clock):
            raise unsupported(self.name, cluster)
        if op.f == "clock-reset":
            return await cluster.reset()
        return await cluster.bump(msgspec.convert(op.value, Bump).offsets_ms)

    def _inject(self, seed: int) -> Op:
        return nemesis_op("clock-bump", msgspec.to_builtins(draw_bump(self._allowed, self._nodes, seed)))


class Rates(msgspec.Struct, frozen=True):
    target: str
    rates_ppm: dict[str, int]


class DriftFault:
    """`choice` is a target; without one, each injection draws one of `targets`."""

    name = "drift"
    summary = "let wall clocks run up to a third too fast or too slow, then at the right rate again"
    begins = frozenset({"drift"})
    ends = frozenset({"drift-end"})
    targets = ("one", "minority", "majority", "all")

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self._nodes = tuple(nodes)
        self._allowed = parse_target(self.name, choice, self.targets, nodes)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Drift)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op("drift-end", msgspec.to_builtins(Rates("all", dict.fromkeys(self._nodes, 0))))

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Drift):
            raise unsupported(self.name, cluster)
        return await cluster.drift(msgspec.convert(op.value, Rates).rates_ppm)

    def _inject(self, seed: int) -> Op:
        target = draw_target(self._allowed, self._nodes, seed)
        rates = {node: draw_rate_ppm(fork(seed, node)) for node in target.nodes}
        return nemesis_op("drift", msgspec.to_builtins(Rates(target.target, rates)))


def draw_rate_ppm(seed: int) -> int:
    """Between 10 and 327,680 parts in a million to either side; small rates are as likely as large ones."""
    magnitude = 10 << uniform_int(fork(seed, "exponent"), 16)
    return -magnitude if uniform_int(fork(seed, "sign"), 2) else magnitude
