"""Nodes in this process: the real driver and sockets, and disks that the test controls."""

from __future__ import annotations

import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from store.client import Client
from store.config import Address, NodeConfig
from store.core.messages import Record
from store.core.options import Options
from store.core.ownership.layout import Placement, first_layout
from store.net.handshake import PLAIN, Security
from store.persistence.storage import StorageError
from store.runtime import Runtime

QUIET = Options(probe_nanos=0, compare_nanos=0, scrub_nanos=0)


class MemoryDisk:
    """Storage that commits while `gate` is open, and fails once `broken`. `commits` counts users' records."""

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.commits: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.broken = False

    def get(self, key: str) -> Record | None:
        return self.records.get(key)

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        return sorted(key for key in self.records if key.startswith(prefix) and key > after)[:limit]

    def commit(self, batch: Sequence[tuple[str, Record | None]]) -> None:
        self.gate.wait()
        if self.broken:
            raise StorageError("data directory memory: cannot be written: IO error")
        for key, record in batch:
            if record is None:
                self.records.pop(key, None)
            else:
                self.records[key] = record
        users = sum(not key.startswith("m/") for key, _ in batch)
        if users:
            self.commits.append(users)

    def next_boot(self) -> int:
        return 1

    def close(self) -> None:
        pass


class Nodes:
    """Some nodes in this process: their runtimes, disks, and where they listen."""

    """`security` by name, if any; `http`: they serve that, too."""

    def __init__(self, count: int, security: dict[str, Security] | None = None, http: bool = False) -> None:
        names = tuple(f"n{number}" for number in range(1, count + 1))
        listeners = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
        self.addresses = {name: Address(*listener.getsockname()) for name, listener in listeners.items()}
        self.disks = {name: MemoryDisk() for name in names}
        self.http: dict[str, Address] = {}
        self.runtimes: dict[str, Runtime] = {}
        for name, listener in listeners.items():
            listener.setblocking(False)
            secured = PLAIN if security is None else security[name]
            web = socket.create_server(("127.0.0.1", 0)) if http else None
            if web is not None:
                self.http[name] = Address(*web.getsockname())
            self.runtimes[name] = Runtime(self.config(name), self.disks[name], listener, secured, web)
        self.listeners = listeners
        self.layout = Placement(first_layout(names, min(3, count))).digest

    def config(self, name: str) -> NodeConfig:
        return NodeConfig(
            name=name,
            cluster="demo",
            listen=Address("127.0.0.1", 0),
            data=Path(),
            nodes=tuple(sorted(self.addresses)),
            peers={peer: at for peer, at in self.addresses.items() if peer != name},
            replication=min(3, len(self.addresses)),
            vnodes=64,
            options=QUIET,
        )

    @asynccontextmanager
    async def running(self, *names: str) -> AsyncIterator[trio.Nursery]:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                for name in names or self.runtimes:
                    nursery.start_soon(self.runtimes[name].run)
                try:
                    yield nursery
                finally:
                    for disk in self.disks.values():
                        disk.gate.set()
                nursery.cancel_scope.cancel()
        for listener in self.listeners.values():
            listener.close()

    async def open(self, name: str) -> Client:
        return await Client.open(*self.addresses[name], "demo")

    async def raw(self, name: str) -> trio.SocketStream:
        return await trio.open_tcp_stream(*self.addresses[name])


def with_nodes(count: int, test: Callable[[Nodes], Awaitable[None]]) -> None:
    async def main() -> None:
        nodes = Nodes(count)
        async with nodes.running():
            await test(nodes)

    trio.run(main)


async def ended(stream: trio.SocketStream) -> bool:
    """True once the node has closed the connection, having said nothing on it."""
    try:
        return await stream.receive_some() == b""
    except trio.BrokenResourceError:
        return True
