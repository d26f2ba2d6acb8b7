"""Links between the nodes of somebody's service: a TCP relay for each ordered pair, so that partitions need
no root.

A node reaches each other node over a port of its own, and answers come back on the same connection. Where a
node must not hear another, whatever flows towards it from there stands still, on connections of either's
making: those that are open stay open, and new ones are accepted and get no further, as TCP's handshake needs
both directions. After the healing everything is delivered, in order and once, as TCP would retransmit it.

This differs from `harness/cluster/proxy.py`, whose links are one-way, because the bundled store's are. It
needs a service whose nodes find each other by the addresses that they are given, and by no others.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

import trio

from harness.cluster.base import Grudge
from harness.plugin.node import HOST

_CHUNK_BYTES: Final = 1 << 16
_BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Held(NamedTuple):
    """What stood still since the last `cut`."""

    bytes: int
    connections: int

    @property
    def any(self) -> bool:
        return self.bytes + self.connections > 0

    def __str__(self) -> str:
        return f"held back {self.bytes:,} bytes and {self.connections} new connections"


class _Way:
    """One direction between two nodes, on all their connections."""

    def __init__(self) -> None:
        self.bytes = 0
        self.connections = 0
        self.open = trio.Event()
        self.open.set()

    def cut(self) -> None:
        self.bytes = self.connections = 0
        if self.open.is_set():
            self.open = trio.Event()

    async def passable(self) -> None:
        while not self.open.is_set():
            await self.open.wait()


class Relay:
    """`ports`: where each node listens. Serves from `open` to `close`, in a task of its own."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self._ways = {(source, target): _Way() for source in ports for target in ports if source != target}
        self._found: dict[tuple[str, str], int] = {}
        self._closing = trio.CancelScope()
        self._closed = trio.Event()
        self._closed.set()

    async def open(self) -> None:
        """Raises OSError."""
        listeners: dict[tuple[str, str], trio.SocketListener] = {}
        try:
            for pair in self._ways:
                (listener,) = await trio.open_tcp_listeners(0, host=HOST)
                listeners[pair] = listener
                self._found[pair] = listener.socket.getsockname()[1]
        except OSError:
            for listener in listeners.values():
                listener.socket.close()
            raise
        self._closed = trio.Event()
        # A system task, because the relay lives from one call (a cluster's setup) to another (its teardown).
        trio.lowlevel.spawn_system_task(self._serve, listeners)

    def reached(self, source: str) -> dict[str, str]:
        """By name, the address at which `source` reaches each of the others."""
        return {
            target: f"{HOST}:{port}" for (asking, target), port in self._found.items() if asking == source
        }

    def cut(self, grudge: Grudge) -> None:
        """Cut exactly the directions that `grudge` names, and count anew."""
        for (source, target), way in self._ways.items():
            if source in grudge.get(target, frozenset()):
                way.cut()
            else:
                way.open.set()

    def heal(self) -> Held:
        held = self.held()
        for way in self._ways.values():
            way.open.set()
        return held

    def held(self) -> Held:
        cut = [way for way in self._ways.values() if not way.open.is_set()]
        return Held(sum(way.bytes for way in cut), sum(way.connections for way in cut))

    @property
    def cut_ways(self) -> int:
        return sum(not way.open.is_set() for way in self._ways.values())

    async def close(self) -> None:
        self._closing.cancel()
        await self._closed.wait()

    async def _serve(self, listeners: Mapping[tuple[str, str], trio.SocketListener]) -> None:
        try:
            with self._closing:
                async with trio.open_nursery() as nursery:
                    for (source, target), listener in listeners.items():
                        handler = _Handler(
                            self._ways[source, target], self._ways[target, source], self._ports[target]
                        )
                        nursery.start_soon(trio.serve_listeners, handler.serve, [listener])
        finally:
            self._closed.set()


class _Handler:
    """The connections that one node makes to another: `there` leads to that one, `back` from it."""

    def __init__(self, there: _Way, back: _Way, port: int) -> None:
        self._there = there
        self._back = back
        self._port = port

    async def serve(self, incoming: trio.SocketStream) -> None:
        async with incoming:
            for way in (self._there, self._back):
                way.connections += not way.open.is_set()
                await way.passable()
            try:
                outgoing = await trio.open_tcp_stream(HOST, self._port)
            except OSError:
                return
            try:
                async with outgoing, trio.open_nursery() as nursery:
                    nursery.start_soon(_carry, incoming, outgoing, self._there)
                    nursery.start_soon(_carry, outgoing, incoming, self._back)
            except* _BROKEN:
                pass


async def _carry(source: trio.SocketStream, target: trio.SocketStream, way: _Way) -> None:
    while data := await source.receive_some(_CHUNK_BYTES):
        if not way.open.is_set():
            way.bytes += len(data)
            await way.passable()
        await target.send_all(data)
    await way.passable()
    await target.send_eof()
