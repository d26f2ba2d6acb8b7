"""Wall clocks that jump, jump forth and back, or run at a wrong rate, and are set right again (after
jepsen.nemesis.time). Each is healed by the same: every clock is made right, and so the others are healed as
well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from checkers.history import Op
from harness.cluster.base import Clock, Cluster, Drift, Evidence, Strobe
from harness.draw import fork, uniform_int
from harness.generator import Generator
from nemesis.amounts import Amount, Measure, asked_or, parse_amount, split_amount
from nemesis.base import nemesis_op, unsupported
from nemesis.schedule import fault_cycle
from nemesis.targets import Target, draw_injection, parse_target, roles_of

EXPONENT_MIN: Final = 2
EXPONENT_MAX: Final = 18
PERIOD_EXPONENT_MAX: Final = 10
RATE_EXPONENT_MAX: Final = 14
RATE_PPM_MAX: Final = 100_000
"""A kernel's clock cannot do more."""
YEAR_MS: Final = 365 * 86_400_000
JUMP: Final = Measure("JUMP_MS", -YEAR_MS, YEAR_MS)
ENDS: Final = frozenset({"clock-reset", "strobe-end", "drift-end"})


class _ClockFault:
    """`choice` is `TARGET[=AMOUNT]`; without one, each injection draws one of `targets`. What is asked for
    is the same for every node that is struck."""

    name: str
    begin: str
    end: str
    amount: Amount
    targets = ("one", "minority", "majority", "all")

    def __init__(self, nodes: Sequence[str], choice: str | None = None) -> None:
        self.begins = frozenset({self.begin})
        self.ends = frozenset({self.end})
        self.undone_by = ENDS - self.ends
        self._nodes = tuple(nodes)
        target, amount = split_amount(choice)
        self._allowed = parse_target(self.name, target, self.targets, nodes, roles=True)
        self._asked = parse_amount(f"{self.name}:{target}", amount, self.amount)
        self.roles = roles_of(self._allowed, nodes)

    def generator(self, interval_s: float, seed: int) -> Generator:
        return fault_cycle(interval_s, seed, self._inject, self.healing())

    def healing(self) -> Op:
        return nemesis_op(self.end)

    def aim(self, f: str, target: Target, seed: int) -> Op:
        raise AssertionError(f"{self.name} draws nothing")

    def _inject(self, seed: int) -> Op:
        return draw_injection(self, self.begin, self._allowed, self._nodes, seed)

    def _each(self, target: Target, seed: int, draw: Callable[[int], int]) -> dict[str, int]:
        """By node, what was asked for, or else what is drawn for it."""
        return {node: int(asked_or(draw(fork(seed, node)), self._asked)) for node in target.nodes}


class Bump(msgspec.Struct, frozen=True):
    """What was chosen, as the value of the operation."""

    target: str
    offsets_ms: dict[str, int]


class ClockFault(_ClockFault):
    """An offset of its own for each node."""

    name = "clock"
    summary = "make wall clocks jump by 4 ms to 4 minutes to either side, and set them right again"
    begin, end = "clock-bump", "clock-reset"
    amount = Amount((JUMP,))

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Clock)

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if not isinstance(cluster, Clock):
            raise unsupported(self.name, cluster)
        if op.f == self.end:
            return await cluster.reset()
        return await cluster.bump(msgspec.convert(op.value, Bump).offsets_ms)

    def aim(self, f: str, target: Target, seed: int) -> Op:
        offsets_ms = self._each(target, seed, draw_offset_ms)
        return nemesis_op(f, msgspec.to_builtins(Bump(target.target, offsets_ms)))


class Flicker(msgspec.Struct, frozen=True):
    target: str
    deltas_ms: dict[str, int]
    period_ms: int


class StrobeFault(_ClockFault):
    """A jump of its own for each node, and the same period for all."""

    name = "strobe"
    summary = "make wall clocks jump by up to 4 minutes and back again, up to 1000 times a second"
    begin, end = "strobe", "strobe-end"
    amount = Amount((JUMP, Measure("PERIOD_MS", 1, 10_000)), needed=2)

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Clock) and isinstance(cluster, Strobe)

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if op.f == self.end and isinstance(cluster, Clock):
            return await cluster.reset()
        if not isinstance(cluster, Strobe):
            raise unsupported(self.name, cluster)
        flicker = msgspec.convert(op.value, Flicker)
        return await cluster.strobe(flicker.deltas_ms, flicker.period_ms)

    def aim(self, f: str, target: Target, seed: int) -> Op:
        deltas_ms = self._each(target, seed, draw_offset_ms)
        period_ms = int(asked_or(draw_period_ms(fork(seed, "period")), self._asked, 1))
        return nemesis_op(f, msgspec.to_builtins(Flicker(target.target, deltas_ms, period_ms)))


class Rates(msgspec.Struct, frozen=True):
    target: str
    rates_ppm: dict[str, int]


class DriftFault(_ClockFault):
    """A rate of its own for each node."""

    name = "drift"
    summary = "let wall clocks run up to 8 % too fast or too slow, then set them right again"
    begin, end = "drift", "drift-end"
    amount = Amount((Measure("RATE_PPM", -RATE_PPM_MAX, RATE_PPM_MAX),))

    def supported(self, cluster: Cluster) -> bool:
        return isinstance(cluster, Clock) and isinstance(cluster, Drift)

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        if op.f == self.end and isinstance(cluster, Clock):
            return await cluster.reset()
        if not isinstance(cluster, Drift):
            raise unsupported(self.name, cluster)
        return await cluster.drift(msgspec.convert(op.value, Rates).rates_ppm)

    def aim(self, f: str, target: Target, seed: int) -> Op:
        rates = self._each(target, seed, draw_rate_ppm)
        return nemesis_op(f, msgspec.to_builtins(Rates(target.target, rates)))


def draw_offset_ms(seed: int) -> int:
    """Between 2**2 and 2**18 ms (4 ms to 4.4 min) to either side; every power of two is equally likely."""
    low = 1 << EXPONENT_MIN + uniform_int(fork(seed, "exponent"), EXPONENT_MAX - EXPONENT_MIN)
    magnitude = low + uniform_int(fork(seed, "magnitude"), low)
    return -magnitude if uniform_int(fork(seed, "sign"), 2) else magnitude


def draw_period_ms(seed: int) -> int:
    """Between 1 ms and 1 s; every power of two is equally likely."""
    low = 1 << uniform_int(fork(seed, "exponent"), PERIOD_EXPONENT_MAX)
    return low + uniform_int(fork(seed, "magnitude"), low)


def draw_rate_ppm(seed: int) -> int:
    """Between 10 and 81,920 parts in a million to either side; small rates are as likely as large ones."""
    magnitude = 10 << uniform_int(fork(seed, "exponent"), RATE_EXPONENT_MAX)
    return -magnitude if uniform_int(fork(seed, "sign"), 2) else magnitude
