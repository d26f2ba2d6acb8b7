"""Incoming connections: who is there, then frames in and, to clients, answers out.

A connection that does not follow the protocol is closed, with a line in the log, and harms no other. What
others can make this node keep is bounded: connections, what has half come on them, and untaken answers.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import trio

from store.core.machine import ClientGone, FromClient, FromPeer, Input
from store.core.messages import Done, Failed, HelloClient, HelloPeer, Report, Request, Response
from store.logs import event
from store.net.address import parse_name
from store.net.channel import Channel
from store.net.handshake import Arrival, Security, Unproven
from store.net.wire import (
    FRAME_BYTES_MAX,
    FrameDecoder,
    WireError,
    decode_message,
    decode_request,
    frame,
    refusal,
)

CONNECTIONS_MAX: Final = 1024
REFUSALS_MAX: Final = 64
"""Connections above the limit that are told so; any more are closed at once."""
STRANGERS_MAX: Final = 64
"""Connections of nodes that this one has not heard of: those that wish to join."""
PEER_CONNECTIONS_MAX: Final = 4
"""Connections of one node; one more, and the oldest is closed, which is most likely dead."""
OUTSTANDING_MAX: Final = 256
"""Requests of one connection that may be in progress; any more are refused as overloaded."""
UNTAKEN_BYTES_MAX: Final = 32 << 20
"""What one connection may leave untaken of its answers; further values are withheld as overloaded."""
ALL_UNTAKEN_BYTES_MAX: Final = 256 << 20
"""What all connections may; those with more than `SHARE_BYTES` then get no further values."""
ALL_HALF_BYTES_MAX: Final = 256 << 20
"""What may have come of all clients' unfinished frames; those with more than `SHARE_BYTES` are then
closed."""
SHARE_BYTES: Final = 256 << 10
TURN_FRAMES: Final = 16
"""Requests of one connection that are taken before the other connections have their turn."""
HELLO_TIMEOUT_S: Final = 5.0

Feed = Callable[[Sequence[Input]], None]

_log = logging.getLogger(__name__)


class Neighbourhood(Protocol):
    """What is known of the other nodes."""

    def knows(self, peer: str) -> bool: ...

    def greeted(self, peer: str, text: str) -> None:
        """`peer` has come and said that it listens at the address `text`."""
        ...


class Client:
    """A client's connection, and the ids of its requests that are in progress."""

    __slots__ = ("channel", "decoder", "outstanding")

    def __init__(self, channel: Channel, decoder: FrameDecoder) -> None:
        self.channel = channel
        self.decoder = decoder
        self.outstanding: set[int] = set()


class Server:
    """Accepts on `listener`, and hands what clients and other nodes say to `feed`: what came together,
    together. `layout` gives the epoch and the digest of the layout of this node, `name`."""

    def __init__(
        self,
        listener: socket.socket,
        cluster: str,
        name: str,
        security: Security,
        layout: Callable[[], tuple[int, str]],
        others: Neighbourhood,
        feed: Feed,
    ) -> None:
        self._listener = listener
        self._cluster = cluster
        self._name = name
        self._security = security
        self._layout = layout
        self._others = others
        self._feed = feed
        self._clients: dict[int, Client] = {}
        self._peers: dict[str, list[Channel]] = {}
        self._last_client = 0
        self.connections = 0

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(self._listener)
                try:
                    sock, _ = self._listener.accept()
                except BlockingIOError:
                    continue
                except OSError as error:
                    event(_log, logging.ERROR, "accept-failed", reason=error.strerror)
                    await trio.sleep(0.1)
                    continue
                if self.connections >= CONNECTIONS_MAX + REFUSALS_MAX:
                    sock.close()
                else:
                    self.connections += 1
                    nursery.start_soon(self._serve, sock)

    def next_client(self) -> int:
        """A number for a client, never used before."""
        self._last_client += 1
        return self._last_client

    def answer(self, number: int, response: Response) -> Channel | None:
        """Queue `response` for client `number`; the channel to be flushed, if it is still there."""
        client = self._clients.get(number)
        if client is None:
            return None
        client.outstanding.discard(response.id)
        if client.channel.unsent_bytes > SHARE_BYTES and self._withheld(client, response):
            text = f"{client.channel.unsent_bytes} bytes of answers wait to be taken on this connection"
            response = Failed(response.id, "overloaded", text)
        try:
            answer = frame(response)
        except WireError as error:
            answer = frame(Failed(response.id, "bad-request", f"the answer cannot be sent: {error}"))
        client.channel.outbox.push(answer)
        return client.channel

    def _withheld(self, client: Client, response: Response) -> bool:
        """Whether the client, which is slow to take its answers, does not get this one."""
        if isinstance(response, Done | Failed | Report):
            return False
        if client.channel.unsent_bytes > UNTAKEN_BYTES_MAX:
            return True
        untaken = sum([other.channel.unsent_bytes for other in self._clients.values()])
        return untaken > ALL_UNTAKEN_BYTES_MAX

    async def _serve(self, sock: socket.socket) -> None:
        arrival: Arrival | None = None
        try:
            with trio.move_on_after(HELLO_TIMEOUT_S):
                arrival = await self._security.arrival(sock)
            if arrival is not None:
                await self._converse(arrival)
        except (WireError, Unproven) as error:
            event(_log, logging.WARNING, "connection-refused", reason=str(error))
        finally:
            self.connections -= 1
            if arrival is not None:
                arrival.channel.close()

    async def _converse(self, arrival: Arrival) -> None:
        channel, decoder, hello = arrival
        decoder.frame_bytes_max = FRAME_BYTES_MAX
        if isinstance(hello, HelloPeer):
            self._check_peer(hello)
            await self._serve_peer(hello.node, channel, decoder)
        elif (refused := self._refusal(hello)) is not None:
            channel.outbox.push(frame(refused))
            channel.flush()
        else:
            await self._serve_client(channel, decoder)

    # Nodes -------------------------------------------------------------------------------------------

    def _check_peer(self, hello: HelloPeer) -> None:
        if hello.cluster != self._cluster:
            raise WireError(f"node {hello.node!r} is of cluster {hello.cluster!r}, not {self._cluster!r}")
        try:
            parse_name(hello.node)
        except ValueError as error:
            raise WireError(f"a node's name: {error}") from None
        if hello.node == self._name:
            raise WireError(f"another node says that it is {hello.node!r}, which is this one")
        epoch, digest = self._layout()
        if hello.epoch == epoch and hello.digest != digest:
            raise WireError(
                f"node {hello.node!r} places keys differently (layout {hello.digest!r}, here {digest!r}): "
                "nodes, replication, vnodes and buckets must be the same on all nodes that begin a cluster"
            )
        if not self._others.knows(hello.node):
            strangers = sum([len(held) for name, held in self._peers.items() if not self._others.knows(name)])
            if strangers >= STRANGERS_MAX:
                raise WireError(f"node {hello.node!r} is one unknown node too many ({STRANGERS_MAX})")
        self._others.greeted(hello.node, hello.address)

    async def _serve_peer(self, peer: str, channel: Channel, decoder: FrameDecoder) -> None:
        held = self._peers.setdefault(peer, [])
        held.append(channel)
        if len(held) > PEER_CONNECTIONS_MAX:
            held[0].close()
        try:
            frames = list(decoder)
            while True:
                self._feed([FromPeer(peer, decode_message(payload)) for payload in frames])
                frames = await _next_frames(channel, decoder)
                if not frames:
                    return
        finally:
            held.remove(channel)
            if not held:
                self._peers.pop(peer, None)

    # Clients -----------------------------------------------------------------------------------------

    def _refusal(self, hello: HelloClient) -> Failed | None:
        if hello.cluster != self._cluster:
            return refusal(f"this node is of cluster {self._cluster!r}, not {hello.cluster!r}")
        if self.connections > CONNECTIONS_MAX:
            return refusal(f"this node has {CONNECTIONS_MAX} connections", "overloaded")
        return None

    async def _serve_client(self, channel: Channel, decoder: FrameDecoder) -> None:
        number = self.next_client()
        client = self._clients[number] = Client(channel, decoder)
        frames = list(decoder)
        came_at = trio.current_time()

        def unfinished() -> None:
            self._check_half(client)

        try:
            while True:
                if not frames:
                    frames = await _next_frames(channel, decoder, unfinished)
                    came_at = trio.current_time()
                    if not frames:
                        return
                waited_ms = int((trio.current_time() - came_at) * 1000)
                self._feed(self._admitted(number, client, frames[:TURN_FRAMES], waited_ms))
                del frames[:TURN_FRAMES]
                if frames or channel.unsent_bytes:
                    await channel.drain()  # who does not take answers is not read from
        finally:
            del self._clients[number]
            self._feed([ClientGone(number)])

    def _check_half(self, client: Client) -> None:
        half = client.decoder.buffered_bytes
        if half > SHARE_BYTES:
            halves = sum([other.decoder.buffered_bytes for other in self._clients.values()])
            if halves > ALL_HALF_BYTES_MAX:
                raise WireError(f"{halves} bytes of unfinished requests are too many, {half} of them its own")

    def _admitted(self, number: int, client: Client, frames: list[bytes], waited_ms: int) -> list[Input]:
        """The requests in `frames`, as inputs; those above the limit, and those whose time is up already, are
        answered at once."""
        admitted: list[Input] = []
        for payload in frames:
            request = decode_request(payload)
            if request.id in client.outstanding:
                raise WireError(f"request {request.id} is in progress, and its number was used again")
            client.outstanding.add(request.id)
            if len(client.outstanding) > OUTSTANDING_MAX:
                text = f"{OUTSTANDING_MAX} requests of this connection are in progress"
            elif waited_ms >= request.timeout_ms:
                text = f"it waited {waited_ms} ms to be begun, and was to take {request.timeout_ms}"
            else:
                if waited_ms:
                    request = Request(request.id, request.timeout_ms - waited_ms, request.body)
                admitted.append(FromClient(number, request))
                continue
            self.answer(number, Failed(request.id, "overloaded", text))
        return admitted


async def _next_frames(
    channel: Channel, decoder: FrameDecoder, unfinished: Callable[[], None] = lambda: None
) -> list[bytes]:
    """All frames that are complete, at least one; none at the end of the connection. `unfinished` is called
    when more has come of one that is not."""
    while data := await channel.receive():
        decoder.feed(data)
        frames = list(decoder)
        if frames:
            return frames
        unfinished()
    return []
