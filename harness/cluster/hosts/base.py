"""What every part of a cluster of hosts builds on: its nodes, their places, and a hand on each host."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import trio

from harness.cluster.base import ClusterError, NodeState
from harness.cluster.hosts.hand import Hand
from harness.systems.base import Site, System

Value = dict[str, Any]


class Hosts(ABC):
    """`sites` and `hands` are by node, spares included, and filled by `setup`. `shared_kernel`: which nodes
    share a kernel with another node or with this machine, so that its clock is not theirs alone. `faults`:
    the names of those that will be made, as some need a node to be prepared before it starts."""

    name: str
    nodes: tuple[str, ...]
    spares: tuple[str, ...]
    system: System
    sites: dict[str, Site]
    hands: dict[str, Hand]
    shared_kernel: frozenset[str]
    faults: frozenset[str]

    @abstractmethod
    def states(self) -> dict[str, NodeState]: ...

    # What the parts extend, each calling `super()` first --------------------------------------------

    async def prepare(self) -> None:  # noqa: B027 -- not every part has something to do
        """Once, in `setup`: the hands answer, homes are there, nothing runs. Raises `ClusterError`."""

    async def before_start(self, nodes: Sequence[str]) -> None:  # noqa: B027 -- the same
        """Each time before the daemons of these nodes are started. Raises `ClusterError`."""

    def environment(self, node: str) -> dict[str, str]:
        """What the daemons of this node get into their environment, from their next start on."""
        return {}

    # What the parts use ----------------------------------------------------------------------------

    def named(self, nodes: Iterable[str]) -> list[str]:
        """The nodes in the cluster's order; raises `ClusterError` for one that it does not have."""
        wanted = set(nodes)
        everybody = (*self.nodes, *self.spares)
        unknown = sorted(wanted.difference(everybody))
        if unknown:
            raise ClusterError(f"there is no node {unknown[0]!r}; the nodes are {', '.join(everybody)}")
        return [node for node in everybody if node in wanted]

    async def ask(self, node: str, operation: str, args: Value) -> Value:
        """Raises `ClusterError`, which names the node."""
        if node not in self.hands:
            raise ClusterError(f"{node}: no hand is at work on its host")
        return await self.hands[node].do(operation, args)

    async def each(self, operation: str, args: Mapping[str, Value]) -> dict[str, Value]:
        """Ask the hands of these nodes at the same time, each with its arguments; what they answered, in the
        cluster's order. Raises the first `ClusterError`, after all are done."""
        answers: dict[str, Value] = {}
        errors: list[ClusterError] = []

        async def one(node: str) -> None:
            try:
                answers[node] = await self.ask(node, operation, args[node])
            except ClusterError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for node in self.named(args):
                nursery.start_soon(one, node)
        if errors:
            raise errors[0]
        return {node: answers[node] for node in self.named(args)}
