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
from typing import Any, Final

from msgspec.structs import replace

from harness.cluster.base import ClusterError, Evidence, Lost, NodeState, NotSent
from harness.cluster.buckets import buckets
from harness.cluster.members import ROLES, Changeable, Members, spare_names, until_serving
from harness.cluster.sim_network import NetworkFaults
from harness.sim.disk import DiskOptions
from harness.sim.host import Host, HostOptions, MakeMachine
from harness.sim.network import Network, NetworkOptions
from harness.sim.session import SimSession
from harness.sim.world import MS, SECOND, World
from store.core.messages import Status
from store.core.node import Node
from store.core.options import QUIET, Options
from store.core.ownership.layout import first_layout

SERVE_LIMIT_S: Final = 10.0
"""How long a node that was started or resumed has until it must answer."""
CONNECT_LIMIT_NS: Final = SECOND
"""How long a client tries to connect."""
DRIFT_PROBE_NS: Final = 1_000_000_000
SLOW_FACTOR: Final = 50.0
ROT_ONE_IN: Final = 10
FREEZE_PROBE_S: Final = 0.1
"""How long a node must stay silent to count as paused."""


@dataclass(frozen=True, slots=True)
class SimOptions:
    network: NetworkOptions = field(default_factory=NetworkOptions)
    disk: DiskOptions = field(default_factory=DiskOptions)
    host: HostOptions = field(default_factory=HostOptions)
    core: Options = QUIET
    """How the nodes' own protocols are paced."""
    spares: int = 0
    """Nodes that have no part at first."""


class SimCluster(NetworkFaults, Changeable):
    """Implements `Cluster`, `Kill`, `Stop`, `Pause`, `Partition`, `ClientPartition`, `Packets`, `Distances`,
    `Clock`, `Strobe`, `Drift`, `Power`, `Rot`, `Disk`, `Membership` and `Roles`. Raises ValueError for nodes
    and a replication that make no ring, and `ClusterError` for a node that it does not have."""

    name = "sim"
    role_names = ROLES

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
        first = first_layout(nodes, replication, buckets=buckets(replication))
        self._hosts = {
            node: Host(self.world, node, first, make, options.host, options.disk, options.core)
            for node in nodes
        }
        self.spares = spare_names(nodes, options.spares)
        joining = replace(options.core, seeds=nodes)
        for node in self.spares:
            self._hosts[node] = Host(self.world, node, None, make, options.host, options.disk, joining)
        receivers = {node: host.receive for node, host in self._hosts.items()}
        self._network = Network(self.world, options.network, receivers)
        self._clients = 0
        self._rotted = False
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
        waiting = await until_serving(self.connect, self.nodes, self._now_s, self._sleep)
        if waiting:
            raise ClusterError(f"nodes have no part in the simulated cluster: {_list(waiting)}")

    async def connect(self, node: str) -> SimSession:
        return await self._connect(node, client=True)

    async def _connect(self, node: str, client: bool) -> SimSession:
        """As a client or, to see what became of a node, from its own host, where no cut is in between."""
        host = self._host(node)
        await self.world.sleep(self._network.client_delay_ns())
        if client and self._network.drops_clients(node):
            await self.world.sleep(CONNECT_LIMIT_NS)
            raise NotSent(f"{node} did not answer in time")
        if host.process is None:
            await self.world.sleep(self._network.client_delay_ns())
            raise NotSent(f"{node} refused the connection")
        self._clients += 1
        session = SimSession(self.world, self._network, node, host.process, self._clients, client)
        await self.world.sleep(self._network.client_delay_ns())
        return session

    @property
    def messages(self) -> int:
        """Sent from node to node until now."""
        return self._network.messages

    def states(self) -> dict[str, NodeState]:
        return {node: self._hosts[node].state() for node in self.nodes}

    def glance(self, node: str) -> dict[str, Any] | None:
        """What `node` would tell of itself, read from outside of the simulation: nothing happens in it."""
        process = self._host(node).process
        return None if process is None else process.status()

    def clock_ms(self, node: str) -> float:
        """How far its wall clock is ahead of true time."""
        return self._host(node).clock.offset_ms(self.world.now)

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

    async def stop(self, nodes: tuple[str, ...]) -> Evidence:
        running = [host for host in self._named(nodes) if host.process is not None]
        broken = sum([host.terminate() for host in running])
        names = [host.name for host in running]
        refusing = [name for name in names if not await self._accepts(name)]
        return Evidence(
            bit=bool(names) and refusing == names,
            detail=f"refuse connections: {_list(refusing)}; {broken} requests broken, nothing lost",
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
            jumps = host.clock.jumps(self.world.now)
            if not host.clock.is_right(self.world.now):
                host.reset_clock()
                after = host.clock.offset_ms(self.world.now)
                right = right and host.clock.is_right(self.world.now)
                jumped = f" after {jumps} jumps" if jumps else ""
                parts.append(f"{host.name} by {after - before:+g} ms{jumped}")
        return Evidence(bit=bool(parts) and right, detail=f"clocks moved: {_list(parts)}")

    # Strobe ----------------------------------------------------------------------------------------

    async def strobe(self, deltas_ms: Mapping[str, int], period_ms: int) -> Evidence:
        hosts = self._named(deltas_ms)
        shown: dict[str, list[float]] = {host.name: [] for host in hosts}
        for host in hosts:
            shown[host.name].append(host.clock.offset_ms(self.world.now))
            host.strobe(deltas_ms[host.name], period_ms)
        for _ in range(2):
            await self.world.sleep(period_ms * MS // 2)
            for host in hosts:
                shown[host.name].append(host.clock.offset_ms(self.world.now))
            await self.world.sleep(period_ms * MS // 2)
        parts = [
            f"{name} by {forth - was:+g} and {back - forth:+g} ms"
            for name, (was, forth, back) in shown.items()
        ]
        bit = all(was != forth != back for was, forth, back in shown.values())
        return Evidence(bool(parts) and bit, f"in {2 * period_ms} ms clocks moved: {_list(parts)}")

    # Drift -----------------------------------------------------------------------------------------

    async def drift(self, rates_ppm: Mapping[str, int]) -> Evidence:
        hosts = self._named(rates_ppm)
        for host in hosts:
            host.drift(rates_ppm[host.name])
        before = [host.clock.offset_ms(self.world.now) for host in hosts]
        await self.world.sleep(DRIFT_PROBE_NS)
        gained = [host.clock.offset_ms(self.world.now) - was for host, was in zip(hosts, before, strict=True)]
        parts = [f"{host.name} by {gain:+.3g} ms" for host, gain in zip(hosts, gained, strict=True)]
        bit = all(bool(gain) == bool(rates_ppm[host.name]) for host, gain in zip(hosts, gained, strict=True))
        return Evidence(bit, f"in {DRIFT_PROBE_NS / MS:g} ms clocks gained: {_list(parts)}")

    # Power -----------------------------------------------------------------------------------------

    async def power_off(self, nodes: tuple[str, ...]) -> Evidence:
        """As `kill`, by which a simulated node loses what it did not sync, too."""
        return await self.kill(nodes)

    # Rot -------------------------------------------------------------------------------------------

    async def rot(self, nodes: tuple[str, ...]) -> Evidence:
        """A tenth of the keys, each on one of the nodes only."""
        spoiled = {key for host in self._hosts.values() for key in host.disk.rotten}
        parts = []
        for host in self._named(nodes):
            keys = [*host.disk.readable("v/"), *host.disk.readable("p/")]
            hit = host.rot([key for key in keys if key not in spoiled][::ROT_ONE_IN])
            spoiled.update(hit)
            parts.append(f"{host.name} {len(hit)}")
        self._rotted = bool(spoiled)
        return Evidence(bool(spoiled), f"records damaged: {_list(parts)}")

    async def survey(self) -> Evidence:
        left = sum(len(host.disk.rotten) for host in self._hosts.values())
        mended, self._rotted = self._rotted and left == 0, left > 0
        return Evidence(mended, f"records damaged: {left}")

    # Disk ------------------------------------------------------------------------------------------

    async def fill(self, nodes: tuple[str, ...]) -> Evidence:
        for host in self._named(nodes):
            host.fill(True)
        full = [host.name for host in self._named(nodes) if host.disk.full]
        return Evidence(bool(full), f"no room at: {_list(full)}")

    async def slow(self, nodes: tuple[str, ...]) -> Evidence:
        for host in self._named(nodes):
            host.slow(SLOW_FACTOR)
        return Evidence(bool(nodes), f"commits take {SLOW_FACTOR:g} times as long at: {_list(list(nodes))}")

    async def mend_disks(self) -> Evidence:
        mended = []
        for host in self._hosts.values():
            if host.disk.full or host.disk.slowness != 1:
                mended.append(host.name)
                host.fill(False)
                host.slow(1)
        return Evidence(bool(mended), f"room and speed again at: {_list(mended)}")

    # Roles -----------------------------------------------------------------------------------------

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        return await self.members.roles()

    # Membership ------------------------------------------------------------------------------------

    @property
    def members(self) -> Members:
        return Members(self, self._now_s, self._sleep)

    async def begin(self, node: str, afresh: bool) -> None:
        host = self._host(node)
        if afresh:
            await self.end(node)
            host.wipe()
        if host.process is None:
            await self.world.sleep(self._start_ns)
            host.start(self._network)

    async def end(self, node: str) -> None:
        host = self._host(node)
        if host.process is not None:
            host.kill()

    def running(self, node: str) -> bool:
        return self._hosts[node].state() == "up"

    def address(self, node: str) -> str:
        return node

    def _now_s(self) -> float:
        return self.world.now / SECOND

    async def _sleep(self, seconds: float) -> None:
        await self.world.sleep(round(seconds * SECOND))

    # Probes ----------------------------------------------------------------------------------------

    async def _accepts(self, node: str, client: bool = False) -> bool:
        try:
            session = await self._connect(node, client)
        except NotSent:
            return False
        await session.close()
        return True

    async def _answers(self, node: str, within_s: float) -> bool:
        try:
            session = await self._connect(node, client=False)
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
