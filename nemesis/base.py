"""What a fault is: what goes wrong, in which order, and how it is undone. A cluster knows how to do it."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from checkers.history import NEMESIS, Op
from harness.cluster.base import Cluster, ClusterError, Evidence
from harness.generator import Generator


class Fault(Protocol):
    """One kind of fault, bundled: its schedule, its effect, its healing and its place in the ledger.

    A fault is made for the nodes of one cluster. `name` is what users ask for; `summary` is one line of help.
    Operations of a fault have its `f`s, and their `value` holds everything that was chosen (targets, grudge,
    offsets) as JSON, so that a recorded schedule can be run again.
    """

    name: str
    summary: str
    begins: frozenset[str]
    """The `f`s that inject."""
    ends: frozenset[str]
    """The `f`s that heal."""

    def supported(self, cluster: Cluster) -> bool: ...

    def generator(self, interval_s: float, seed: int) -> Generator:
        """Endlessly: wait, inject, wait, heal; a fault is injected about every `interval_s` seconds."""
        ...

    def healing(self) -> Op:
        """The operation that undoes whatever this fault may have left, on every node."""
        ...

    async def invoke(self, op: Op, cluster: Cluster) -> Evidence:
        """Carry out one of this fault's operations; raises `ClusterError`, or ValueError for a bad value."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A fault with operations that only make ready for an injection, and are none. `prepares`: their `f`s."""

    prepares: frozenset[str]


@runtime_checkable
class SharesHealing(Protocol):
    """A fault that the healing of others undoes as well. `undone_by`: their `f`s."""

    undone_by: frozenset[str]


def operations(fault: Fault) -> frozenset[str]:
    """All `f`s of a fault."""
    return fault.begins | fault.ends | (fault.prepares if isinstance(fault, Preparing) else frozenset())


def nemesis_op(f: str, value: Any = None) -> Op:
    """An operation of the nemesis; like all of them, it is `info` at both ends."""
    return Op(process=NEMESIS, type="info", f=f, value=value)


def unsupported(fault: str, cluster: Cluster) -> ClusterError:
    return ClusterError(f"the cluster {cluster.name} does not support the fault {fault}")
