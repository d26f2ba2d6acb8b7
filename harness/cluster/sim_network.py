"""Faults of the simulated network: between nodes, and between clients and nodes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from harness.cluster.base import Behaviour, Evidence, Grudge, LateMs
from harness.cluster.distances import evidence, links
from harness.sim.host import Host
from harness.sim.network import Network, Timed
from harness.sim.world import MS


class NetworkFaults(ABC):
    """Implements `Partition`, `ClientPartition`, `Packets` and `Distances`, in virtual time."""

    _network: Network

    @abstractmethod
    def _named(self, nodes: Iterable[str]) -> list[Host]:
        """The named hosts, in the cluster's order; raises `ClusterError`."""

    @abstractmethod
    async def _accepts(self, node: str, client: bool) -> bool: ...

    # Partition -------------------------------------------------------------------------------------

    async def cut(self, grudge: Grudge) -> Evidence:
        for node, unheard in grudge.items():
            self._named((node, *sorted(unheard)))
        self._network.cut(grudge)
        cut = [(link.source, link.target) for link in self._network.cuts()]
        reached = await self._network.probe()
        through = [link for link in reached if link in cut]
        return Evidence(
            bit=bool(cut) and not through,
            detail=f"{len(cut)} links cut; {len(through)} probes came through them, "
            f"{len(reached) - len(through)} through the others",
        )

    async def heal(self) -> Evidence:
        cuts = self._network.cuts()
        self._network.cut({})
        dropped = sum(link.dropped for link in cuts)
        biting = sum(link.dropped > 0 for link in cuts)
        return Evidence(
            bit=dropped > 0,
            detail=f"{biting} of {len(cuts)} cut links dropped {dropped} messages",
        )

    # ClientPartition -------------------------------------------------------------------------------

    async def cut_clients(self, nodes: tuple[str, ...]) -> Evidence:
        names = [host.name for host in self._named(nodes)]
        self._network.part_clients(names)
        silent = [name for name in names if not await self._accepts(name, client=True)]
        self._network.part_clients(names)
        return Evidence(
            bit=bool(names) and silent == names,
            detail=f"do not answer clients: {', '.join(silent) or 'none'}",
        )

    async def heal_clients(self) -> Evidence:
        dropped = self._network.part_clients(())
        return Evidence(bit=dropped > 0, detail=f"{dropped} messages of clients and to them were dropped")

    # Packets ---------------------------------------------------------------------------------------

    async def shape(self, nodes: tuple[str, ...], behaviour: Behaviour) -> Evidence:
        names = [host.name for host in self._named(nodes)]
        self._network.set_apart({})
        self._network.shape((), behaviour)
        before = await self._network.time_probes(names)
        self._network.shape(names, behaviour)
        after = await self._network.time_probes(names)
        return Evidence(
            bit=bool(names) and _shows(behaviour, before, after), detail=f"before: {before}; now: {after}"
        )

    async def unshape(self) -> Evidence:
        treated = self._network.treated()
        self._network.set_apart({})
        self._network.shape((), Behaviour())
        return Evidence(bit=treated.sent > 0, detail=str(treated))

    # Distances -------------------------------------------------------------------------------------

    async def set_apart(self, late_ms: LateMs) -> Evidence:
        for source, targets in late_ms.items():
            self._named((source, *targets))
        self._network.shape((), Behaviour())
        self._network.set_apart(late_ms)
        reached = await self._network.probe()
        return evidence(links(late_ms), {link: took_ns / MS for link, took_ns in reached.items()}, "ways")

    async def bring_together(self) -> Evidence:
        late = self._network.set_apart({})
        return Evidence(bit=late > 0, detail=f"{late} messages were late")


def _shows(behaviour: Behaviour, before: Timed, after: Timed) -> bool:
    """Every part of `behaviour`, if it has any, has struck a probe."""
    later_ms = 0.0 if after.mean_ms is None or before.mean_ms is None else after.mean_ms - before.mean_ms
    shown = {
        "delay_ms": later_ms >= behaviour.delay_ms / 2,
        "loss": after.suffered.lost > 0,
        "duplicate": after.suffered.doubled > 0,
        "reorder": after.suffered.overtook > 0,
        "corrupt": after.suffered.spoilt > 0,
        "rate_kbit": later_ms > 0,
    }
    asked = [part for part in shown if getattr(behaviour, part)]
    return bool(asked) and all(shown[part] for part in asked)
