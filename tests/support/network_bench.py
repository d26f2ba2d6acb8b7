"""The network part of a cluster on the hosts of a lab, and sockets of our own there to look at it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import trio

from harness.cluster.base import Grudge, NodeState
from harness.cluster.hosts.hand import Hand
from harness.cluster.hosts.network import Network
from harness.lab.client import ClientNamespace
from harness.lab.lab import Lab
from harness.remote.connection import Connection
from harness.systems.base import Site

NODES: Final = ("n1", "n2", "n3", "n4")
PATIENCE_S: Final = 60
PORT: Final = 7000
SPEAK_PORT: Final = 7001
HEARD_WITHIN_S: Final = 1.0
SILENT_S: Final = 0.05
DATAGRAMS: Final = 1000
_SO_RCVBUFFORCE: Final = 33
T = TypeVar("T")


class StoreAt:
    port = PORT


class Bench(Network):
    """The network part of a cluster, by itself, on the hosts of a lab. No daemon runs there but sshd."""

    name = "bench"

    def __init__(self, made: Lab) -> None:
        self.lab = made
        self.nodes, self.spares = NODES, ()
        self.system = StoreAt()  # type: ignore[assignment]  # all that is asked of it
        self.sites = {
            host.name: Site(host.name, Connection(host), host.address, "/srv/x", True) for host in made.hosts
        }
        self.hands = {}

    def states(self) -> dict[str, NodeState]:
        return {}

    async def begin(self) -> None:
        async with trio.open_nursery() as nursery:
            for node in NODES:
                nursery.start_soon(self.take, node)
        await self.prepare()

    async def take(self, node: str) -> None:
        self.hands[node] = Hand(node, self.sites[node].host, 30.0)
        await self.hands[node].start()

    async def end(self) -> None:
        with trio.CancelScope(shield=True):
            for hand in self.hands.values():
                await hand.aclose()
            for site in self.sites.values():
                await site.host.aclose()

    async def on(self, node: str, *argv: str) -> str:
        """What a command on a host says."""
        return (await self.sites[node].host.run(argv)).stdout.decode()

    async def rules(self, node: str, program: str = "iptables-save") -> list[str]:
        said = await self.on(node, program)
        return [line.partition(" [")[0] for line in said.splitlines() if not line.startswith("#")]


def at(made: Lab, host: str, make: Callable[[], T]) -> T:
    """Make something in the network namespace of a host; a socket stays there."""
    results: list[T] = []

    def work() -> None:
        ClientNamespace(made.client.path.parent / host)._enter()
        results.append(make())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    return results[0]


def listener(address: str, port: int = PORT) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.create_server((address, port), family=family)
    sock.settimeout(HEARD_WITHIN_S)
    return sock


def unheard(bench: Bench) -> Grudge:
    """Who does not hear whom, by datagrams of our own between all hosts."""
    addresses = bench.addresses()
    family = socket.AF_INET6 if ":" in addresses["n1"] else socket.AF_INET
    ears = {node: at(bench.lab, node, lambda: socket.socket(family, socket.SOCK_DGRAM)) for node in addresses}
    try:
        for node, ear in ears.items():
            ear.bind((addresses[node], SPEAK_PORT))
            ear.settimeout(SILENT_S)
        for source in ears:
            for target in ears:
                ears[source].sendto(source.encode(), (addresses[target], SPEAK_PORT))
        return {node: missing for node, ear in ears.items() if (missing := frozenset(ears) - _heard(ear))}
    finally:
        for ear in ears.values():
            ear.close()


def _heard(ear: socket.socket) -> set[str]:
    names: set[str] = set()
    try:
        while True:
            names.add(ear.recv(100).decode())
    except TimeoutError:
        return names


def came_through(bench: Bench, source: str, target: str) -> int:
    """How many of `DATAGRAMS` datagrams."""
    addresses = bench.addresses()
    ear = at(bench.lab, target, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    mouth = at(bench.lab, source, lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    ear.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 4 << 20)
    ear.bind((addresses[target], SPEAK_PORT))
    for _ in range(DATAGRAMS):
        mouth.sendto(b"x", (addresses[target], SPEAK_PORT))
    ear.settimeout(SILENT_S)
    count = 0
    try:
        while True:
            ear.recv(10)
            count += 1
    except TimeoutError:
        return count
    finally:
        ear.close()
        mouth.close()


def transfer_s(bench: Bench, source: str, address: str, size_bytes: int = 200_000) -> float:
    host = next((node for node, known in bench.addresses().items() if known == address), "client")
    door = at(bench.lab, host, lambda: listener(address, SPEAK_PORT))
    caller = at(bench.lab, source, lambda: socket.create_connection((address, SPEAK_PORT)))
    taker, _ = door.accept()
    began = time.monotonic()
    sender = threading.Thread(target=caller.sendall, args=[bytes(size_bytes)])
    sender.start()
    taken = 0
    while taken < size_bytes:
        taken += len(taker.recv(1 << 16))
    took_s = time.monotonic() - began
    sender.join()
    for sock in (door, caller, taker):
        sock.close()
    return took_s


class Stage:
    """A trio of its own in a thread, so that hands stay from one test to the next."""

    def __init__(self, made: Lab) -> None:
        self.bench = Bench(made)
        self.ready = threading.Event()
        self.thread = threading.Thread(target=trio.run, args=[self._main])

    async def _main(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self.enough = trio.Event()
        try:
            await self.bench.begin()
            self.ready.set()
            await self.enough.wait()
        finally:
            await self.bench.end()

    def play(self, scene: Callable[[Bench], Awaitable[None]]) -> None:
        """Afterwards nothing may be left on any host."""

        async def watched() -> None:
            with trio.fail_after(PATIENCE_S):
                await scene(self.bench)
                for node in NODES:
                    assert [line for line in await self.bench.rules(node) if "STORMCELLAR" in line] == []
                    shown = await self.bench.on(node, "tc", "qdisc", "show", "dev", "eth0")
                    assert shown.startswith("qdisc noqueue 0: root")

        trio.from_thread.run(watched, trio_token=self.token)
