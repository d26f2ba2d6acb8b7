"""The cluster `sim`: every node, its disk, its clock and the network between them in this process, in virtual
time. The same seed gives the same run, byte for byte.

Whoever drives it calls its coroutines through `world.complete`, or from coroutines that run in `world`.
Evidence rests on probes: connections tried, status requests sent, messages over links, clocks read. Healing
has "bitten" only if there was something to undo and a probe shows that it is undone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from harness.cluster.base import ClusterError, Evidence, Grudge, Lost, NodeState, NotSent
from harness.sim.disk import DiskOptions
from harness.sim.host import Host, HostOptions, MakeMachine
from harness.sim.network import Network, NetworkOptions
from harness.sim.session import SimSession
from harness.sim.world import MS, World
from store.core.messages import Status
from store.core.node import Node
from store.core.ring import Ring

SERVE_LIMIT_S: Final = 10.0
"""How long a node that was started or resumed has until it must answer."""
FREEZE_PROBE_S: Final = 0.1
"""How long a node must stay silent to count as paused."""


@dataclass(frozen=True, slots=True)
class SimOptions:
    network: NetworkOptions = field(default_factory=NetworkOptions)
    disk: DiskOptions = field(default_factory=DiskOptions)
    host: HostOptions = field(default_factory=HostOptions)


class SimCluster:
    """Implements `Cluster`, `Kill`, `Pause`, `Partition` and `Clock`. Raises ValueError for nodes and a
    replication that make no ring, and `ClusterError` for a node that it does not have."""

    name = "sim"

    def __init__(
        self,
        nodes: tuple[str, ...],
        replication: int,
        seed: int,
        options: SimOptions = SimOptions(),
        make: MakeMachine = Node,
    ) -> None:
        self.nodes = nodes
        self.world = World(seed)
        self._start_ns = options.host.start_ms * MS
        ring = Ring(nodes, replication)
        self._hosts = {node: Host(self.world, node, ring, make, options.host, options.disk) for node in nodes}
        receivers = {node: host.receive for node, host in self._hosts.items()}
        self._network = Network(self.world, options.network, receivers)
        self._clients = 0
        self._log_dir: Path | None = None

    # Cluster ---------------------------------------------------------------------------------------

    async def setup(self, run_dir: Path) -> None:
        log_dir = run_dir / "nodes"
        try:
            log_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ClusterError(f"the node logs cannot go to {log_dir}: {error.strerror}") from None
        self._log_dir = log_dir
        evidence = await self.start(self.nodes)
        if not evidence.bit:
            raise ClusterError(f"the simulated cluster does not start: {evidence.detail}")

    async def connect(self, node: str) -> SimSession:
        host = self._host(node)
        await self.world.sleep(self._network.client_delay_ns())
        if host.process is None:
            await self.world.sleep(self._network.client_delay_ns())
            raise NotSent(f"{node} refused the connection")
        self._clients += 1
        session = SimSession(self.world, self._network, node, host.process, self._clients)
        await self.world.sleep(self._network.client_delay_ns())
        return session

    def states(self) -> dict[str, NodeState]:
        return {node: host.state() for node, host in self._hosts.items()}

    def unexpected_deaths(self) -> list[str]:
        """None: an error in a node's core ends the whole simulation, and is raised."""
        return []

    async def teardown(self) -> None:
        for host in self._hosts.values():
            host.stop()
            if self._log_dir is not None:
                host.write_log(self._log_dir / f"{host.name}.log")

    # Kill ------------------------------------------------------------------------------------------

    async def kill(self, nodes: tuple[str, ...]) -> Evidence:
        running = [host for host in self._named(nodes) if host.process is not None]
        losses = [host.kill() for host in running]
        names = [host.name for host in running]
        refusing = [name for name in names if not await self._accepts(name)]
        broken, lost = (sum(loss[part] for loss in losses) for part in (0, 1))
        return Evidence(
            bit=bool(names) and refusing == names,
            detail=f"refuse connections: {_list(refusing)}; {broken} requests broken, {lost} records lost",
        )

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        stopped = [host for host in self._named(nodes) if host.process is None]
        await self.world.sleep(self._start_ns if stopped else 0)
        for host in stopped:
            host.start(self._network)
        names = [host.name for host in stopped]
        serving = [name for name in names if await self._answers(name, SERVE_LIMIT_S)]
        return Evidence(
            bit=bool(names) and serving == names,
            detail=f"answer again: {_list(serving)}",
        )

    # Pause -----------------------------------------------------------------------------------------

    async def pause(self, nodes: tuple[str, ...]) -> Evidence:
        names = [host.name for host in self._named(nodes) if host.pause()]
        silent = [name for name in names if not await self._answers(name, FREEZE_PROBE_S)]
        return Evidence(
            bit=bool(names) and silent == names,
            detail=f"silent for {FREEZE_PROBE_S:g} s: {_list(silent)}",
        )

    async def resume(self, nodes: tuple[str, ...]) -> Evidence:
        paused = [host for host in self._named(nodes) if host.state() == "paused"]
        held = sum([host.resume() for host in paused])
        names = [host.name for host in paused]
        serving = [name for name in names if await self._answers(name, SERVE_LIMIT_S)]
        return Evidence(
            bit=bool(names) and serving == names,
            detail=f"answer again: {_list(serving)}; {held} inputs were held back",
        )

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

    # Clock -----------------------------------------------------------------------------------------

    async def bump(self, offsets_ms: Mapping[str, int]) -> Evidence:
        moved = True
        parts = []
        for host in self._named(offsets_ms):
            before = host.clock.offset_ms(self.world.now)
            host.bump(offsets_ms[host.name])
            after = host.clock.offset_ms(self.world.now)
            moved = moved and after != before
            parts.append(f"{host.name} by {after - before:+g} ms")
        return Evidence(bit=bool(parts) and moved, detail=f"clocks moved: {_list(parts)}")

    async def reset(self) -> Evidence:
        parts = []
        right = True
        for host in self._hosts.values():
            before = host.clock.offset_ms(self.world.now)
            if before:
                host.reset_clock()
                after = host.clock.offset_ms(self.world.now)
                right = right and after == 0
                parts.append(f"{host.name} by {after - before:+g} ms")
        return Evidence(bit=bool(parts) and right, detail=f"clocks moved: {_list(parts)}")

    # Probes ----------------------------------------------------------------------------------------

    async def _accepts(self, node: str) -> bool:
        try:
            session = await self.connect(node)
        except NotSent:
            return False
        await session.close()
        return True

    async def _answers(self, node: str, within_s: float) -> bool:
        try:
            session = await self.connect(node)
            await session.request(Status(), within_s)
        except (NotSent, Lost):
            return False
        await session.close()
        return True

    def _host(self, node: str) -> Host:
        host = self._hosts.get(node)
        if host is None:
            raise ClusterError(f"there is no node {node!r}; the nodes are {', '.join(self.nodes)}")
        return host

    def _named(self, nodes: Iterable[str]) -> list[Host]:
        """The named hosts, in the cluster's order."""
        named = {self._host(node).name for node in nodes}
        return [host for host in self._hosts.values() if host.name in named]


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"
