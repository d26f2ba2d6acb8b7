"""The cluster `local`: real node processes on loopback, with data on disk and a proxy on every link.

Nodes are killed and frozen by signals; partitions are made by the proxy (`harness/cluster/proxy.py`), so no
root is needed. Left out: clock faults, since all processes share the machine's clock, which is not ours.

Everything of a node lies below the run's directory: `nodes/NAME.toml`, `nodes/NAME.log`, `nodes/data/NAME`.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from shutil import rmtree
from typing import Final

import trio

from harness.cluster.base import ClusterError, Evidence, Grudge, LateMs, NodeState, NotSent, Session
from harness.cluster.buckets import bucket_lines
from harness.cluster.distances import evidence, links
from harness.cluster.members import ROLES, Changeable, Members, spare_names, until_serving
from harness.cluster.pace import timing
from harness.cluster.process import NodeProcess, comes_true
from harness.cluster.proxy import Address, Proxy
from harness.cluster.session import StoreSession
from harness.cluster.stress import OwnStress

CLUSTER_NAME: Final = "local"
CUT_PROBE_S: Final = 1.0
"""How long a cut is watched for the first message that it holds back."""
APART_PROBE_S: Final = 2.0
"""How long, beyond the longest way, it is awaited that something has come over each; gossip does."""
MESH_LIMIT_S: Final = 10.0
"""How long nodes that have just started may take to connect to each other; they try every second or so."""
STOP_LIMIT_S: Final = 10.0
"""How long a node may take to end when a fault asks it to."""
GRACE_S: Final = 1.0
"""How long a node may take to end when it is asked to, before it is killed."""


class _Node:
    """One node over all its processes. `address` is where it serves, None while it does not."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.process: NodeProcess | None = None
        self.address: Address | None = None
        self.paused = False

    def state(self) -> NodeState:
        if self.address is None:
            return "down"
        return "paused" if self.paused else "up"


class LocalCluster(OwnStress, Changeable):
    """Implements `Cluster`, `Kill`, `Stop`, `Pause`, `Partition`, `Distances`, `Membership`, `Roles` and
    `Stress`; to be used from the main thread. Raises `ClusterError` for a node that it does not have."""

    name = CLUSTER_NAME
    role_names = ROLES

    def __init__(self, nodes: tuple[str, ...], replication: int, spares: int = 0) -> None:
        self.nodes = nodes
        self.spares = spare_names(nodes, spares)
        self._replication = replication
        self._nodes = {name: _Node(name) for name in (*nodes, *self.spares)}
        self._proxy = Proxy((*nodes, *self.spares))
        self._deaths: dict[str, str] = {}
        """By node, why it first ended by itself or did not start."""
        self._dir = Path()

    # Cluster ---------------------------------------------------------------------------------------

    async def setup(self, run_dir: Path) -> None:
        self._dir = run_dir / "nodes"
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            self.open_stress(self._dir)
            await self._proxy.open()
            for name in self._nodes:
                (self._dir / f"{name}.toml").write_text(self._config(name), encoding="utf-8")
        except OSError as error:
            raise ClusterError(f"the cluster local cannot be prepared: {error}") from None
        await self.start(self.nodes)
        if self._deaths:
            raise ClusterError(next(iter(self._deaths.values())))
        if missing := self._proxy.unconnected(self.nodes):
            raise ClusterError(
                f"nodes do not connect to each other within {MESH_LIMIT_S:g} s: {_list(missing)}"
            )
        if waiting := await until_serving(self.connect, self.nodes, trio.current_time, trio.sleep):
            raise ClusterError(f"nodes have no part in the cluster: {_list(waiting)}")

    async def connect(self, node: str) -> Session:
        (wanted,) = self._named([node])
        if wanted.address is None:
            raise NotSent(f"{node} is down")
        return await StoreSession.open(wanted.address, CLUSTER_NAME)

    def states(self) -> dict[str, NodeState]:
        self._notice_deaths()
        return {name: self._nodes[name].state() for name in self.nodes}

    def unexpected_deaths(self) -> list[str]:
        self._notice_deaths()
        return list(self._deaths.values())

    async def teardown(self) -> None:
        with trio.CancelScope(shield=True):
            await self.relax()
            self._notice_deaths()
            nodes = [node for node in self._nodes.values() if node.process is not None]
            processes = [node.process for node in nodes if node.process is not None]
            for process in processes:
                process.send(signal.SIGCONT)
                process.send(signal.SIGTERM)
            deadline = trio.current_time() + GRACE_S
            for process in processes:
                await process.ended(deadline - trio.current_time())
                process.send(signal.SIGKILL)
            for process in processes:
                await process.ended()
            for node in nodes:
                self._retire(node)
            await self._proxy.close()

    # Kill ------------------------------------------------------------------------------------------

    async def kill(self, nodes: tuple[str, ...]) -> Evidence:
        struck = self._running(nodes)
        for _, process in struck:
            process.send(signal.SIGKILL)
        statuses = {node.name: await process.ended() for node, process in struck}
        for node, _ in struck:
            if statuses[node.name] is not None:
                self._retire(node)
        killed = [name for name, status in statuses.items() if status == -signal.SIGKILL]
        return Evidence(
            bit=bool(struck) and len(killed) == len(struck),
            detail=f"reaped after SIGKILL: {_list(killed)}" + _absent(nodes, struck),
        )

    async def stop(self, nodes: tuple[str, ...]) -> Evidence:
        """What does not end within `STOP_LIMIT_S` is killed, and has not bitten."""
        struck = self._running(nodes)
        for _, process in struck:
            process.send(signal.SIGTERM)
            process.send(signal.SIGCONT)  # a frozen one could not end otherwise
        deadline = trio.current_time() + STOP_LIMIT_S
        told = []
        for node, process in struck:
            status = await process.ended(deadline - trio.current_time())
            if status is not None:
                told.append(f"{node.name} (exit status {status})")
        for node, process in struck:
            process.send(signal.SIGKILL)
            await process.ended()
            self._retire(node)
        return Evidence(
            bit=bool(struck) and len(told) == len(struck),
            detail=f"ended after SIGTERM: {_list(told)}" + _absent(nodes, struck),
        )

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        self._notice_deaths()
        down = [node for node in self._named(nodes) if node.process is None]
        failures: list[str] = []
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for node in down:
                nursery.start_soon(self._bring_up, node, failures)
        if failures:
            raise ClusterError(failures[0] + _and_more(len(failures) - 1))
        took_s = trio.current_time() - began
        names = [node.name for node in down]
        detail = f"serve again after {took_s:.2f} s: {_list(names)}"
        if names and (missing := await self._unmeshed()):
            detail += f"; not connected yet: {_list(missing)}"
        return Evidence(bit=bool(names), detail=detail)

    # Pause -----------------------------------------------------------------------------------------

    async def pause(self, nodes: tuple[str, ...]) -> Evidence:
        struck = self._running(nodes)
        for node, process in struck:
            process.send(signal.SIGSTOP)
            node.paused = True
        stopped = [node.name for node, process in struck if await process.stopped(True)]
        return Evidence(
            bit=bool(struck) and len(stopped) == len(struck),
            detail=f"stopped: {_list(stopped)}" + _absent(nodes, struck),
        )

    async def resume(self, nodes: tuple[str, ...]) -> Evidence:
        struck = [(node, process) for node, process in self._running(nodes) if process.is_stopped()]
        for _, process in struck:
            process.send(signal.SIGCONT)
        for node, process in struck:
            if not await process.stopped(False):
                raise ClusterError(f"node {node.name} is still stopped after SIGCONT")
            node.paused = False
        names = [node.name for node, _ in struck]
        return Evidence(bit=bool(names), detail=f"go on: {_list(names)}")

    # Partition -------------------------------------------------------------------------------------

    async def cut(self, grudge: Grudge) -> Evidence:
        for node, unheard in grudge.items():
            self._named([node, *sorted(unheard)])
        self._proxy.cut(grudge)
        bit = await comes_true(lambda: self._proxy.held().biting > 0, CUT_PROBE_S)
        held = self._proxy.held()
        return Evidence(bit=bit, detail=f"{held.links} links cut, {held.biting} seen to hold back messages")

    async def heal(self) -> Evidence:
        held = self._proxy.heal()
        return Evidence(bit=held.biting > 0, detail=str(held) if held.links else "nothing was cut")

    # Distances -------------------------------------------------------------------------------------

    async def set_apart(self, late_ms: LateMs) -> Evidence:
        for source, targets in late_ms.items():
            self._named((source, *targets))
        self._proxy.stretch(late_ms)
        owed = links(late_ms)
        limit_s = APART_PROBE_S + max(owed.values(), default=0) / 1000
        await comes_true(lambda: owed.keys() <= self._proxy.took_ms().keys(), limit_s)
        return evidence(owed, self._proxy.took_ms(), "ways")

    async def bring_together(self) -> Evidence:
        late = self._proxy.stretch({})
        return Evidence(bit=late > 0, detail=f"{late} chunks of what nodes sent were late")

    # Roles -----------------------------------------------------------------------------------------

    async def roles(self) -> Mapping[str, tuple[str, ...]]:
        return await self.members.roles()

    # Membership ------------------------------------------------------------------------------------

    @property
    def members(self) -> Members:
        return Members(self, trio.current_time, trio.sleep)

    async def begin(self, node: str, afresh: bool) -> None:
        if afresh:
            await self.end(node)
            rmtree(self._dir / "data" / node, ignore_errors=True)
        if not self.running(node):
            await self.start((node,))

    async def end(self, node: str) -> None:
        await self.kill((node,))

    def running(self, node: str) -> bool:
        return self._named([node])[0].state() == "up"

    def address(self, node: str) -> str:
        host, port = self._named([node])[0].address or ("", 0)
        return f"{host}:{port}"

    # The nodes -------------------------------------------------------------------------------------

    def _named(self, names: Iterable[str]) -> list[_Node]:
        for name in names:
            if name not in self._nodes:
                raise ClusterError(f"there is no node {name!r}; the nodes are {', '.join(self.nodes)}")
        return [self._nodes[name] for name in names]

    def _running(self, names: Iterable[str]) -> list[tuple[_Node, NodeProcess]]:
        self._notice_deaths()
        return [(node, node.process) for node in self._named(names) if node.process is not None]

    async def _bring_up(self, node: _Node, failures: list[str]) -> None:
        try:
            node.process = NodeProcess(
                node.name, self._dir / f"{node.name}.toml", self._dir / f"{node.name}.log"
            )
            node.address = await node.process.ready()
        except ClusterError as error:
            failures.append(self._deaths.setdefault(node.name, str(error)))
        else:
            self._proxy.route(node.name, node.address)
        finally:
            if node.process is not None and node.address is None:
                node.process.send(signal.SIGKILL)
                with trio.CancelScope(shield=True):
                    await node.process.ended()
                self._retire(node)

    async def _unmeshed(self) -> list[str]:
        """Wait until the nodes that are up are connected to each other; the links that are not."""

        def missing() -> list[str]:
            return self._proxy.unconnected([name for name, state in self.states().items() if state == "up"])

        await comes_true(lambda: not missing(), MESH_LIMIT_S)
        return missing()

    def _notice_deaths(self) -> None:
        for node in self._nodes.values():
            process = node.process
            if process is not None and node.address is not None and process.status() is not None:
                if not process.condemned:
                    self._deaths.setdefault(node.name, process.obituary())
                self._retire(node)

    def _retire(self, node: _Node) -> None:
        """Forget a process that has ended."""
        if node.process is not None:
            node.process.close()
        node.process = node.address = None
        node.paused = False
        self._proxy.route(node.name, None)

    def _config(self, name: str) -> str:
        """The node's configuration file: its peers' addresses are those of the proxy's links, and pinned, as
        gossip would tell it where they really listen."""
        found = {peer: self._proxy.address(name, peer) for peer in self._nodes if peer != name}
        addresses = {peer: f'{json.dumps(peer)} = "{host}:{port}"' for peer, (host, port) in found.items()}
        first = [address for peer, address in addresses.items() if peer in self.nodes]
        role = [f"replication = {self._replication}"] if name in self.nodes else ["join = true"]
        begun = bucket_lines() if name in self.nodes else []
        lines = [
            f"name = {json.dumps(name)}",
            f"cluster = {json.dumps(CLUSTER_NAME)}",
            'listen = "127.0.0.1:0"',
            f"data = {json.dumps(f'data/{name}')}",
            *role,
            *("", "[timing]", *timing()),
            *("", "[peers]", *first),
            *("", "[pinned]", *addresses.values()),
            *("", *begun),
        ]
        return "\n".join(lines) + "\n"


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _and_more(count: int) -> str:
    return f"; {count} more did not start either" if count else ""


def _absent(asked: Iterable[str], running: list[tuple[_Node, NodeProcess]]) -> str:
    names = {node.name for node, _ in running}
    return "".join(f"; {name} was not running" for name in asked if name not in names)
