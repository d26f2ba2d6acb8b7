"""Several faults at once: one schedule, one healing in a sensible order, one place that carries them out.

Faults overlap in time, though the nemesis does one thing at a time. Which faults there are and how they are
asked for (`NAME[:CHOICE]`) is here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from checkers.history import Op
from harness.cluster.base import Cluster, ClusterError
from harness.draw import fork
from harness.generator import Generator
from harness.generators import any_of, sequence
from nemesis import packets, restart, stress
from nemesis.amounts import Amount
from nemesis.base import Fault, operations
from nemesis.clients import ClientsFault
from nemesis.clock import ClockFault, DriftFault, StrobeFault
from nemesis.disk import DiskFault, RotFault
from nemesis.files import FilesFault
from nemesis.membership import MembershipFault
from nemesis.packets import PacketsFault
from nemesis.partition import PartitionFault
from nemesis.power import PowerFault
from nemesis.process import KillFault, PauseFault
from nemesis.restart import RestartFault
from nemesis.stress import StressFault
from nemesis.targets import ByRoles, aimed


class FaultKind(NamedTuple):
    """`make(nodes, choice)` raises ValueError for a choice that there is not, naming those that there are."""

    summary: str
    make: Callable[[Sequence[str], str | None], Fault]


FAULTS: Final[dict[str, FaultKind]] = {
    kind.name: FaultKind(kind.summary, kind)
    for kind in (
        PartitionFault,
        ClientsFault,
        PacketsFault,
        StressFault,
        PauseFault,
        DiskFault,
        RotFault,
        PowerFault,
        FilesFault,
        KillFault,
        RestartFault,
        ClockFault,
        StrobeFault,
        DriftFault,
        MembershipFault,
    )
}
"""By name, in the order in which they are healed: messages pass again before processes go on, those go on
before others start, clocks are right then, and members change when all that can help is there."""

AMOUNTS: Final[dict[str, Amount]] = {
    **{f"packets:{name}": kind.amount for name, kind in packets.KINDS.items()},
    **{f"stress:{name}": amount for name, amount in stress.KINDS.items() if amount},
    **{f"restart:{name}": amount for name, amount in restart.AMOUNTS.items()},
    **{f"{kind.name}:TARGET": kind.amount for kind in (ClockFault, StrobeFault, DriftFault)},
}
"""How much can be asked for, by what it stands right after."""


def parse_faults(specs: Iterable[str], nodes: Sequence[str]) -> tuple[Fault, ...]:
    """The faults that `NAME[:CHOICE]` specs ask for; raises ValueError."""
    faults: dict[str, Fault] = {}
    for spec in specs:
        name, colon, choice = spec.partition(":")
        if name not in FAULTS:
            raise ValueError(f"the fault {name!r} is unknown; there are {', '.join(FAULTS)}")
        if name in faults:
            raise ValueError(f"the fault {name} is asked for twice")
        faults[name] = FAULTS[name].make(nodes, choice if colon else None)
    return tuple(faults[name] for name in FAULTS if name in faults)


class Nemesis:
    """Holds nothing of the run, so a recorded schedule can be run again through it."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(faults)
        self._by_f = {f: fault for fault in faults for f in operations(fault)}

    def generator(self, interval_s: float, seed: int) -> Generator:
        """Each fault in its own cycle, drawn from its own seed, so one more fault changes none of the others'
        choices."""
        return any_of(*(fault.generator(interval_s, fork(seed, fault.name)) for fault in self.faults))

    def healing(self) -> Generator:
        """One operation for each fault; afterwards nothing is left of any of them."""
        return sequence(*(fault.healing() for fault in self.faults))

    async def invoke(self, op: Op, cluster: Cluster) -> Op:
        """The completion: `info`, with what was chosen and the evidence (`bit`, `detail`) as its value, or
        with an error. Whatever a fault raises, the run goes on."""
        try:
            fault = self._by_f[op.f]
            if isinstance(fault, ByRoles):
                op = await aimed(fault, op, cluster)
            evidence = await fault.invoke(op, cluster)
        except ClusterError as error:
            return replace(op, type="info", error=str(error))
        except Exception as error:
            return replace(op, type="info", error=f"{type(error).__name__}: {error}")
        value = {**(op.value or {}), **msgspec.to_builtins(evidence)}
        return replace(op, type="info", value=value)
