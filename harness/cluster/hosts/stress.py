"""Hosts that have less processor or memory to give.

Where hosts share a kernel, they share its processors and memory, too: then every node feels what one target
is given, which the evidence says, and of memory no more is taken than such a machine never misses.
"""

from __future__ import annotations

from harness.cluster.base import Evidence
from harness.cluster.hosts.base import Hosts
from harness.cluster.stress import SHARED_BYTES_MAX, burnt, hogged, relaxed


class Stressing(Hosts):
    """Implements `Stress`."""

    async def burn_cpu(self, nodes: tuple[str, ...]) -> Evidence:
        return burnt(await self.each("stress-cpu", {node: {} for node in nodes}), self._others(nodes))

    async def hog_memory(self, nodes: tuple[str, ...], fraction: float) -> Evidence:
        args = {
            node: {"fraction": fraction}
            | ({"bytes_max": SHARED_BYTES_MAX // len(nodes)} if node in self.shared_kernel else {})
            for node in nodes
        }
        return hogged(await self.each("stress-memory", args), self._others(nodes))

    async def relax(self) -> Evidence:
        return relaxed(await self.each("stress-end", {node: {} for node in self.hands}))

    def _others(self, nodes: tuple[str, ...]) -> list[str]:
        """Who feels it, too."""
        if not self.shared_kernel.intersection(nodes):
            return []
        return [node for node in self.hands if node in self.shared_kernel and node not in nodes]
