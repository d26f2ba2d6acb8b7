"""Incoming connections: who is there, then frames in and, to clients, answers out.

A connection that does not follow the protocol is closed, with a sentence in the log, and harms no other.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Collection, Sequence
from typing import Final

import trio

from store.channel import Channel, Outbox
from store.core.machine import FromClient, FromPeer, Input
from store.core.messages import Failed, Found, HelloClient, HelloPeer, Response
from store.wire import REFUSED, FrameDecoder, WireError, decode_hello, decode_message, decode_request, frame

CONNECTIONS_MAX: Final = 1024
REFUSALS_MAX: Final = 64
"""Connections above the limit that are told so; any more are closed at once."""
OUTSTANDING_MAX: Final = 256
"""Requests of one connection that may be in progress; any more are refused as overloaded."""
UNTAKEN_BYTES_MAX: Final = 32 << 20
"""What one connection may leave untaken of its answers; further values are withheld as overloaded."""
TURN_FRAMES: Final = 16
"""Requests of one connection that are taken before the other connections have their turn."""
HELLO_TIMEOUT_S: Final = 5.0

Feed = Callable[[Sequence[Input]], None]

_log = logging.getLogger(__name__)


class Client:
    """A client's connection, and how many of its requests are in progress."""

    __slots__ = ("channel", "outstanding")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.outstanding = 0


class Server:
    """Accepts on `listener`, and hands what clients and `peers` say to `feed`: what came at once, at once."""

    def __init__(
        self, listener: socket.socket, cluster: str, ring: str, peers: Collection[str], feed: Feed
    ) -> None:
        self._listener = listener
        self._cluster = cluster
        self._ring = ring
        self._peers = peers
        self._feed = feed
        self._clients: dict[int, Client] = {}
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
                    _log.error("cannot accept a connection: %s", error.strerror)
                    await trio.sleep(0.1)
                    continue
                if self.connections >= CONNECTIONS_MAX + REFUSALS_MAX:
                    sock.close()
                else:
                    self.connections += 1
                    nursery.start_soon(self._serve, sock)

    def answer(self, number: int, response: Response) -> Channel | None:
        """Queue `response` for client `number`; the channel to be flushed, if it is still there."""
        client = self._clients.get(number)
        if client is None:
            return None
        client.outstanding -= 1
        if isinstance(response, Found) and client.channel.unsent_bytes > UNTAKEN_BYTES_MAX:
            text = f"{UNTAKEN_BYTES_MAX} bytes of answers wait to be taken on this connection"
            response = Failed(response.id, "overloaded", text)
        client.channel.outbox.push(frame(response))
        return client.channel

    async def _serve(self, sock: socket.socket) -> None:
        channel = Channel(sock, Outbox())
        try:
            await self._converse(channel)
        except WireError as error:
            _log.warning("a connection is closed: %s", error)
        finally:
            self.connections -= 1
            channel.close()

    async def _converse(self, channel: Channel) -> None:
        decoder = FrameDecoder()
        frames: list[bytes] = []
        with trio.move_on_after(HELLO_TIMEOUT_S):
            frames = await _next_frames(channel, decoder)
        if not frames:
            return
        hello = decode_hello(frames.pop(0))
        if isinstance(hello, HelloPeer):
            self._check_peer(hello)
            await self._serve_peer(hello.node, channel, decoder, frames)
        elif (refusal := self._refusal(hello)) is not None:
            channel.outbox.push(frame(refusal))
            channel.flush()
        else:
            await self._serve_client(channel, decoder, frames)

    def _check_peer(self, hello: HelloPeer) -> None:
        if hello.cluster != self._cluster:
            raise WireError(f"node {hello.node!r} is of cluster {hello.cluster!r}, not {self._cluster!r}")
        if hello.node not in self._peers:
            raise WireError(f"node {hello.node!r} is none of the peers ({', '.join(self._peers)})")
        if hello.ring != self._ring:
            raise WireError(
                f"node {hello.node!r} places keys differently (ring {hello.ring!r}, here {self._ring!r}): "
                "nodes, replication and vnodes must be the same on all nodes"
            )

    def _refusal(self, hello: HelloClient) -> Failed | None:
        if hello.cluster != self._cluster:
            text = f"this node is of cluster {self._cluster!r}, not {hello.cluster!r}"
            return Failed(REFUSED, "bad-request", text)
        if self.connections > CONNECTIONS_MAX:
            return Failed(REFUSED, "overloaded", f"this node has {CONNECTIONS_MAX} connections")
        return None

    async def _serve_peer(
        self, peer: str, channel: Channel, decoder: FrameDecoder, frames: list[bytes]
    ) -> None:
        while True:
            self._feed([FromPeer(peer, decode_message(payload)) for payload in frames])
            frames = await _next_frames(channel, decoder)
            if not frames:
                return

    async def _serve_client(self, channel: Channel, decoder: FrameDecoder, frames: list[bytes]) -> None:
        self._last_client = number = self._last_client + 1
        client = self._clients[number] = Client(channel)
        try:
            while frames := frames or await _next_frames(channel, decoder):
                self._feed(self._admitted(number, client, frames[:TURN_FRAMES]))
                del frames[:TURN_FRAMES]
                if frames or channel.unsent_bytes:
                    await channel.drain()  # who does not take answers is not read from
        finally:
            del self._clients[number]

    def _admitted(self, number: int, client: Client, frames: list[bytes]) -> list[Input]:
        """The requests in `frames`, as inputs; those above the limit are answered at once."""
        admitted: list[Input] = []
        for payload in frames:
            request = decode_request(payload)
            client.outstanding += 1
            if client.outstanding <= OUTSTANDING_MAX:
                admitted.append(FromClient(number, request))
            else:
                text = f"{OUTSTANDING_MAX} requests of this connection are in progress"
                self.answer(number, Failed(request.id, "overloaded", text))
        return admitted


async def _next_frames(channel: Channel, decoder: FrameDecoder) -> list[bytes]:
    """All frames that are complete, at least one; none at the end of the connection."""
    while data := await channel.receive():
        decoder.feed(data)
        frames = list(decoder)
        if frames:
            return frames
    return []
