"""The nodes of somebody's service, as child processes on loopback: a `Cluster` that can be killed, paused
and, where the nodes find each other by placeholders, partitioned.

Left out: all that needs root or another machine (clocks, disks, packets), and services that run elsewhere
already.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

from harness.cluster.base import ClusterError, Evidence, Grudge, NodeState, NotSent, Session
from harness.cluster.process import comes_true
from harness.plan import NODES_MAX, SERVICE, node_names
from harness.plugin.node import HOST, Node, filled, placeholders
from harness.plugin.process import ServiceProcess
from harness.plugin.relay import Relay
from harness.plugin.session import FunctionSession

PORTS: Final = range(20_000, 32_000)
"""Below those that Linux gives to outgoing connections: a node that is down must find its own free again."""
TERM_S: Final = 1.0
CUT_PROBE_S: Final = 0.5
"""How long a cut is watched for the first message that it holds back."""


class ServiceCluster:
    """Implements `Cluster`, `Kill`, `Pause` and `Partition`. `argv` and `env` have placeholders
    (`placeholders` in `harness/plugin/node.py`); `ready_s` is how long a node may take until it accepts
    connections."""

    name = SERVICE

    def __init__(
        self, argv: Sequence[str], count: int, env: Mapping[str, str], cwd: Path, ready_s: float
    ) -> None:
        """Raises ValueError, `PlaceholderError` among them."""
        if isinstance(argv, str):
            raise ValueError(f"argv is {argv!r}; it is a list of words: {argv.split()}")
        if not argv:
            raise ValueError("argv is empty; it is the command line of a node")
        if not 1 <= count <= NODES_MAX:
            raise ValueError(f"nodes is {count}; allowed: 1 to {NODES_MAX}")
        self.nodes = node_names(count)
        self._argv = tuple([str(word) for word in argv])
        self._env = {name: str(value) for name, value in env.items()}
        self._cwd = cwd
        self._ready_s = ready_s
        self._at = {name: Node(name, HOST, 0) for name in self.nodes}
        for node in self._at.values():
            self._command(node, "", dict.fromkeys(self.nodes, ""))
        self._relay = Relay({})
        self._running: dict[str, ServiceProcess] = {}
        self._paused: set[str] = set()
        self._deaths: dict[str, str] = {}
        self._mistakes: list[str] = []
        self._dir = Path()

    # Cluster ---------------------------------------------------------------------------------------

    async def setup(self, run_dir: Path) -> None:
        """`run_dir` is absolute, as nodes run in a directory of their own."""
        self._dir = run_dir / "nodes"
        self._deaths.clear()
        self._mistakes.clear()
        self._at = {
            name: Node(name, HOST, port)
            for name, port in zip(self.nodes, free_ports(len(self.nodes)), strict=True)
        }
        self._relay = Relay({node.name: node.port for node in self._at.values()})
        try:
            for name in self.nodes:
                (self._dir / "data" / name).mkdir(parents=True, exist_ok=True)
            await self._relay.open()
        except OSError as error:
            raise ClusterError(f"the service cannot be prepared: {error}") from None
        await self.start(self.nodes)

    async def connect(self, node: str) -> Session:
        if node not in self._running:
            raise NotSent(f"{node} is down")
        return FunctionSession(self._at[node], self._mistakes.append)

    def states(self) -> dict[str, NodeState]:
        self._notice_deaths()
        return {name: self._state(name) for name in self.nodes}

    def unexpected_deaths(self) -> list[str]:
        """Also what makes the run worthless otherwise, such as a client function that cannot be used."""
        self._notice_deaths()
        return [*self._deaths.values(), *self._mistakes[:1]]

    async def teardown(self) -> None:
        with trio.CancelScope(shield=True):
            running = list(self._running.values())
            for process in running:
                process.send(signal.SIGCONT)
                process.send(signal.SIGTERM)
            deadline = trio.current_time() + TERM_S
            for process in running:
                await process.ended(deadline - trio.current_time())
                process.send(signal.SIGKILL)
            for process in running:
                await process.ended()
            self._running.clear()
            await self._relay.close()

    # Kill ------------------------------------------------------------------------------------------

    async def kill(self, nodes: tuple[str, ...]) -> Evidence:
        struck = self._named(nodes)
        for process in struck:
            process.send(signal.SIGKILL)
        killed = [each.node.name for each in struck if await each.ended() == -signal.SIGKILL]
        for process in struck:
            self._retire(process.node.name)
        return Evidence(bool(struck) and len(killed) == len(struck), f"reaped after SIGKILL: {_list(killed)}")

    async def start(self, nodes: tuple[str, ...]) -> Evidence:
        down = [name for name in nodes if name not in self._running]
        failures: list[ClusterError] = []
        async with trio.open_nursery() as nursery:
            for name in down:
                nursery.start_soon(self._bring_up, name, failures)
        if failures:
            raise failures[0]
        return Evidence(bool(down), f"accept connections again: {_list(down)}")

    # Pause -----------------------------------------------------------------------------------------

    async def pause(self, nodes: tuple[str, ...]) -> Evidence:
        struck = self._named(nodes)
        for process in struck:
            process.send(signal.SIGSTOP)
            self._paused.add(process.node.name)
        stopped = [each.node.name for each in struck if await each.stopped(True)]
        return Evidence(bool(struck) and len(stopped) == len(struck), f"stopped: {_list(stopped)}")

    async def resume(self, nodes: tuple[str, ...]) -> Evidence:
        struck = [process for process in self._named(nodes) if process.node.name in self._paused]
        for process in struck:
            process.send(signal.SIGCONT)
            if not await process.stopped(False):
                raise ClusterError(f"{process.node.name} is still stopped after SIGCONT")
            self._paused.discard(process.node.name)
        return Evidence(bool(struck), f"go on: {_list([process.node.name for process in struck])}")

    # Partition -------------------------------------------------------------------------------------

    async def cut(self, grudge: Grudge) -> Evidence:
        self._relay.cut(grudge)
        bit = await comes_true(lambda: self._relay.held().any, CUT_PROBE_S)
        return Evidence(bit, f"{self._relay.cut_ways} directions cut; {self._relay.held()}")

    async def heal(self) -> Evidence:
        held = self._relay.heal()
        return Evidence(held.any, str(held))

    # The nodes -------------------------------------------------------------------------------------

    def _command(
        self, node: Node, data: str, reached: Mapping[str, str]
    ) -> tuple[tuple[str, ...], dict[str, str]]:
        values = placeholders(node, data, reached)
        return (
            tuple([filled(word, values) for word in self._argv]),
            {name: filled(value, values) for name, value in self._env.items()},
        )

    async def _bring_up(self, name: str, failures: list[ClusterError]) -> None:
        node = self._at[name]
        argv, env = self._command(node, str(self._dir / "data" / name), self._relay.reached(name))
        try:
            process = ServiceProcess(node, argv, env, self._cwd, self._dir / f"{name}.log")
        except ClusterError as error:
            failures.append(error)
            return
        try:
            await process.listens(self._ready_s)
            self._running[name] = process
        except ClusterError as error:
            self._deaths.setdefault(name, str(error))
            failures.append(error)
        finally:
            if name not in self._running:
                with trio.CancelScope(shield=True):
                    process.send(signal.SIGKILL)
                    await process.ended()

    def _state(self, name: str) -> NodeState:
        if name not in self._running:
            return "down"
        return "paused" if name in self._paused else "up"

    def _named(self, names: Iterable[str]) -> list[ServiceProcess]:
        self._notice_deaths()
        return [self._running[name] for name in names if name in self._running]

    def _notice_deaths(self) -> None:
        for name, process in list(self._running.items()):
            if process.status() is not None:
                if not process.condemned:
                    self._deaths.setdefault(name, process.obituary())
                process.send(signal.SIGKILL)  # its workers may be left
                self._retire(name)

    def _retire(self, name: str) -> None:
        self._running.pop(name, None)
        self._paused.discard(name)


def free_ports(count: int) -> list[int]:
    """Ports of `PORTS` on loopback that nobody has, each once. Raises `ClusterError`. Workers of pytest-xdist
    look among different ones, as a port is also kept for a node that is down."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    ports = PORTS[worker % workers :: workers]
    found: dict[int, socket.socket] = {}
    try:
        for _ in range(100 * count):
            port = secrets.choice(ports)
            if len(found) == count:
                break
            if port in found:
                continue
            held = socket.socket()
            try:
                held.bind((HOST, port))
                found[port] = held
            except OSError:
                held.close()
        if len(found) < count:
            raise ClusterError(f"there are no {count} free ports from {PORTS.start} to {PORTS.stop}")
        return list(found)
    finally:
        for held in found.values():
            held.close()


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
