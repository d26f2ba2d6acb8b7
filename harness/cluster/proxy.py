"""A userspace TCP proxy between nodes, so that partitions need no root.

There is one directed link for each ordered pair of nodes: the source sends everything for the target
through a connection of its own over that link, so a cut of one direction cuts nothing else. A link that is
cut behaves as behind a firewall that drops packets: connections stay up, new ones are accepted, and
nothing gets through. TCP would retransmit what was dropped, so after the cut the backlog is delivered, in
order and once. What a link holds is bounded; beyond that the source feels backpressure, as from a full send
buffer.

A link may be long: then what enters it comes out that much later, in order.

Left out: loss and throttling. What a target writes back on a link is dropped: the links are one-way.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import trio

from harness.cluster.base import Grudge, LateMs

Address = tuple[str, int]
_Chunk = tuple[float, bytes | bytearray]
"""When it entered, and what."""

HELD_BYTES_MAX: Final = 1 << 18
"""What one cut connection holds back before its source feels it."""
_CHUNK_BYTES: Final = 1 << 16
_CHUNKS_UNDER_WAY: Final = 1024
"""On one connection; then its source feels it."""
_BACKLOG: Final = 128
_BROKEN: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError)


class Held(NamedTuple):
    """What the cut links have held back since the last `cut`."""

    links: int
    """How many are cut."""
    biting: int
    """How many of those held back anything."""
    bytes: int
    connections: int
    """New connections that were let wait."""

    def __str__(self) -> str:
        return (
            f"{self.biting} of {self.links} cut links held back "
            f"{self.bytes:,} bytes and {self.connections} new connections"
        )


class Link:
    """Carries what `source` sends to `target`."""

    def __init__(self, source: str, target: str) -> None:
        self.source = source
        self.target = target
        self.route: Address | None = None
        """Where the target listens now; None while it is down."""
        self.carried = 0
        """Connections of the source that go through to the target now, and over which something has come."""
        self.held_bytes = 0
        self.held_connections = 0
        self.late_s = 0.0
        """How long everything is on its way."""
        self.took_s: float | None = None
        """How long what came out last was on its way, of what has entered since it was `stretched`."""
        self.late_chunks = 0
        """How many those are."""
        self.stretched = 0.0
        self._healed = trio.Event()
        self._healed.set()
        self._readings: set[trio.CancelScope] = set()

    @property
    def is_cut(self) -> bool:
        return not self._healed.is_set()

    def cut(self) -> None:
        self.held_bytes = self.held_connections = 0
        if not self.is_cut:
            self._healed = trio.Event()

    def heal(self) -> None:
        self._healed.set()
        for reading in self._readings:
            reading.cancel()

    def stretch(self, late_s: float) -> None:
        self.late_s = late_s
        self.late_chunks = 0
        self.took_s = None
        self.stretched = trio.current_time()

    async def serve(self, incoming: trio.SocketStream) -> None:
        """Carry one connection of the source until either end closes it or the target is down."""
        async with incoming:
            if self.is_cut:
                self.held_connections += 1
            await self.passable()
            try:
                if self.route is not None:
                    await self._carry(incoming, self.route)
            except* _BROKEN:
                pass

    async def _carry(self, incoming: trio.SocketStream, address: Address) -> None:
        async with await _dial(address) as outgoing, trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, outgoing, nursery.cancel_scope)
            road = _Road(self, outgoing)
            nursery.start_soon(road.deliver)
            counted = 0
            try:
                while data := await incoming.receive_some(_CHUNK_BYTES):
                    await road.send(await self._hold(incoming, data) if self.is_cut else data)
                    self.carried += 1 - counted
                    counted = 1
                await road.empty()
                await self.passable()
            finally:
                self.carried -= counted
            nursery.cancel_scope.cancel()

    async def _hold(self, incoming: trio.SocketStream, first: bytes | bytearray) -> bytearray:
        """Read on while the link is cut, as long as there is room; then wait, and give it all."""
        held = bytearray(first)
        self.held_bytes += len(first)
        while self.is_cut and len(held) < HELD_BYTES_MAX:
            more = b""
            with self._until_healed():
                more = await incoming.receive_some(HELD_BYTES_MAX - len(held))
                if not more:
                    break
            held += more
            self.held_bytes += len(more)
        await self.passable()
        return held

    async def _watch(self, outgoing: trio.SocketStream, carrying: trio.CancelScope) -> None:
        """End the connection when the target has closed it, and the source can know of that."""
        while await outgoing.receive_some(_CHUNK_BYTES):
            pass
        await self.passable()
        carrying.cancel()

    async def passable(self) -> None:
        while self.is_cut:
            await self._healed.wait()

    @contextmanager
    def _until_healed(self) -> Iterator[None]:
        with trio.CancelScope() as reading:
            self._readings.add(reading)
            try:
                yield
            finally:
                self._readings.discard(reading)


class _Road:
    """What one connection has on its way over a link."""

    def __init__(self, link: Link, outgoing: trio.SocketStream) -> None:
        self._link = link
        self._outgoing = outgoing
        self._enter, self._leave = trio.open_memory_channel[_Chunk](_CHUNKS_UNDER_WAY)
        self._under_way = 0
        self._all_out = trio.Event()

    async def send(self, data: bytes | bytearray) -> None:
        if self._under_way or self._link.late_s:
            self._under_way += 1
            await self._enter.send((trio.current_time(), data))
        else:
            await self._outgoing.send_all(data)

    async def deliver(self) -> None:
        async for entered, data in self._leave:
            await trio.sleep_until(entered + self._link.late_s)
            await self._link.passable()
            await self._outgoing.send_all(data)
            if entered >= self._link.stretched:
                self._link.took_s = trio.current_time() - entered
                self._link.late_chunks += 1
            self._under_way -= 1
        self._all_out.set()

    async def empty(self) -> None:
        """Nothing more enters; wait until everything is out."""
        self._enter.close()
        await self._all_out.wait()


class Proxy:
    """All links between some nodes. Serves from `open` to `close`, in a task of its own."""

    def __init__(self, nodes: tuple[str, ...]) -> None:
        self._links = {(i, j): Link(i, j) for i in nodes for j in nodes if i != j}
        self._addresses: dict[tuple[str, str], Address] = {}
        self._closing = trio.CancelScope()
        self._closed = trio.Event()
        self._closed.set()

    async def open(self) -> None:
        """Listen on one loopback port for each link; raises OSError."""
        listeners: list[tuple[Link, trio.SocketListener]] = []
        try:
            for pair, link in self._links.items():
                listener = await _listen()
                listeners.append((link, listener))
                self._addresses[pair] = listener.socket.getsockname()
        except OSError:
            for _, listener in listeners:
                listener.socket.close()
            raise
        self._closed = trio.Event()
        # A system task, because the proxy lives from one call (a cluster's setup) to another (its teardown).
        trio.lowlevel.spawn_system_task(self._serve, listeners)

    def address(self, source: str, target: str) -> Address:
        """Where `source` must send what is for `target`."""
        return self._addresses[source, target]

    def route(self, node: str, address: Address | None) -> None:
        """From now on `node` listens at `address`, or is down (None)."""
        for (_, target), link in self._links.items():
            if target == node:
                link.route = address

    def cut(self, grudge: Grudge) -> None:
        """Cut exactly the links that `grudge` names, and count anew."""
        for (source, target), link in self._links.items():
            if source in grudge.get(target, frozenset()):
                link.cut()
            else:
                link.heal()

    def stretch(self, late_ms: LateMs) -> int:
        """From now on exactly these links are so long. How many chunks have come late since the last time."""
        late = sum(link.late_chunks for link in self._links.values())
        for (source, target), link in self._links.items():
            link.stretch(late_ms.get(source, {}).get(target, 0.0) / 1000)
        return late

    def took_ms(self) -> dict[tuple[str, str], float]:
        """How long the last chunk was on its way over each link, of those that came out since `stretch`."""
        return {pair: link.took_s * 1000 for pair, link in self._links.items() if link.took_s is not None}

    def heal(self) -> Held:
        """Let everything through again, the backlog first; what was held back until now."""
        held = self.held()
        for link in self._links.values():
            link.heal()
        return held

    def held(self) -> Held:
        links = [link for link in self._links.values() if link.is_cut]
        return Held(
            links=len(links),
            biting=sum(link.held_bytes + link.held_connections > 0 for link in links),
            bytes=sum(link.held_bytes for link in links),
            connections=sum(link.held_connections for link in links),
        )

    def unconnected(self, nodes: Collection[str]) -> list[str]:
        """The links between `nodes` that are not cut and carry no connection, as "source->target"."""
        return [
            f"{source}->{target}"
            for (source, target), link in self._links.items()
            if source in nodes and target in nodes and not link.is_cut and not link.carried
        ]

    async def close(self) -> None:
        self._closing.cancel()
        await self._closed.wait()

    async def _serve(self, listeners: list[tuple[Link, trio.SocketListener]]) -> None:
        try:
            with self._closing:
                async with trio.open_nursery() as nursery:
                    for link, listener in listeners:
                        nursery.start_soon(trio.serve_listeners, link.serve, [listener])
        finally:
            self._closed.set()


async def _listen() -> trio.SocketListener:
    sock = trio.socket.socket()
    try:
        await sock.bind(("127.0.0.1", 0))
        sock.listen(_BACKLOG)
        return trio.SocketListener(sock)
    except OSError:
        sock.close()
        raise


async def _dial(address: Address) -> trio.SocketStream:
    sock = trio.socket.socket()
    try:
        await sock.connect(address)
        return trio.SocketStream(sock)
    except BaseException:
        sock.close()
        raise
