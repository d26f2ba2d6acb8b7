"""Outgoing connections to other nodes. Links are directed: a node speaks to a peer only on its own link,
questions and answers alike, and only listens on the peer's; so each direction can fail, and be cut, alone.

Messages may be lost, as the protocols allow: a link keeps no more than `BYTES_MAX`, and none over a failed
attempt to connect.
"""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import Callable
from typing import Final

import trio

from store.core.messages import Failed, HelloPeer
from store.logs import event
from store.net.address import Address
from store.net.channel import Channel, Outbox, dial
from store.net.handshake import Security, Unproven
from store.net.wire import FrameDecoder, WireError, decode_response

BYTES_MAX: Final = 64 << 20
"""Enough for 64 of the largest values at once: what is dropped is not sent again, and its request waits in
vain. A peer that takes nothing costs this much for as long as TCP does not give it up."""
BACKOFF_MIN_S: Final = 0.05
BACKOFF_MAX_S: Final = 1.0
CONNECT_TIMEOUT_S: Final = 1.0
STEADY_S: Final = 1.0
"""A connection that has lived for so long is a good one; a node that refuses us ends it sooner."""
UNACKED_MAX_MS: Final = 3_000
"""TCP gives a connection up after so long without acknowledgement, so that the link is soon of use again
after packets were dropped; left to itself TCP would wait longer and longer between attempts."""
KNOCK_BYTES_MAX: Final = 4 << 20
KNOCK_IDLE_S: Final = 3.0

_log = logging.getLogger(__name__)


class Down(Exception):
    """There is no connection: the reason in a few words."""


class Dialer:
    """Connects this node to others. `hello` gives what it says first on each connection."""

    def __init__(self, security: Security, hello: Callable[[], HelloPeer]) -> None:
        self._security = security
        self._hello = hello

    async def connect(self, address: Address, outbox: Outbox, peer: str = "") -> Channel:
        """To `peer`, or to whoever is there; raises `Down`."""
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                sock = await dial(*address)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKED_MAX_MS)
                return await self._security.peer_channel(sock, outbox, self._hello(), peer)
        except trio.TooSlowError:
            raise Down(f"no connection within {CONNECT_TIMEOUT_S:g} s") from None
        except (OSError, Unproven) as error:
            raise Down(str(error)) from None


class Link:
    """To one peer, for ever; `rng` spreads the attempts to connect.

    What is to be sent goes to `outbox`; `channel` is there to be flushed while the link is connected.
    """

    def __init__(self, peer: str, address: Address, dialer: Dialer, rng: random.Random) -> None:
        self.peer = peer
        self.address = address
        self.outbox = Outbox(BYTES_MAX)
        self.channel: Channel | None = None
        self._dialer = dialer
        self._rng = rng
        self._failures = 0
        self._life = trio.CancelScope()
        self._trying = trio.CancelScope()

    async def run(self) -> None:
        """Keep the link connected, until `end`."""
        with self._life:
            while True:
                with trio.CancelScope() as self._trying:
                    await self._try()

    def redirect(self, address: Address) -> None:
        """The peer is elsewhere now."""
        if address != self.address:
            self.address = address
            self._failures = 0
            self._trying.cancel()

    def end(self) -> None:
        """The peer is gone for good."""
        self._life.cancel()
        self.outbox.drop_all()

    async def _try(self) -> None:
        try:
            channel = await self._dialer.connect(self.address, self.outbox, self.peer)
        except Down as down:
            reason = str(down)
        else:
            reason = await self._stay(channel)
        self.outbox.drop_all()
        if self._failures == 0:
            event(_log, logging.WARNING, "link-down", peer=self.peer, at=str(self.address), reason=reason)
        backoff_s = min(BACKOFF_MIN_S * 2**self._failures, BACKOFF_MAX_S)
        self._failures = min(self._failures + 1, 10)
        await trio.sleep(backoff_s * self._rng.uniform(0.5, 1.0))

    async def _stay(self, channel: Channel) -> str:
        """Be connected by `channel` until it ends; why it does."""
        self.channel = channel
        try:
            await channel.drain()
            received = b""
            with trio.move_on_after(STEADY_S) as steady:
                received = await channel.receive()
            if steady.cancelled_caught:
                self._failures = 0
                event(_log, logging.INFO, "link-up", peer=self.peer, at=str(self.address))
                received = await channel.receive()
            return _why(received) if received else channel.broken or "closed"
        finally:
            self.channel = None
            channel.close()


class Knock:
    """To whoever is at `address`, for as long as there is something to be said."""

    def __init__(self, address: Address, dialer: Dialer) -> None:
        self.address = address
        self.outbox = Outbox(KNOCK_BYTES_MAX)
        self.channel: Channel | None = None
        self._dialer = dialer
        self._used_at = trio.current_time()

    def push(self, frame: bytes) -> None:
        self.outbox.push(frame)
        self._used_at = trio.current_time()

    async def run(self) -> None:
        """Until nothing was to be said for `KNOCK_IDLE_S`, or the connection is over."""
        try:
            channel = await self._dialer.connect(self.address, self.outbox)
            reason = await self._stay(channel)
        except Down as down:
            reason = str(down)
        if reason:
            event(_log, logging.INFO, "knocked-in-vain", at=str(self.address), reason=reason)

    async def _stay(self, channel: Channel) -> str:
        """Why it ended too early; empty if it did not."""
        self.channel = channel
        try:
            await channel.drain()
            while trio.current_time() < self._used_at + KNOCK_IDLE_S:
                with trio.move_on_at(self._used_at + KNOCK_IDLE_S):
                    received = await channel.receive()
                    return _why(received) if received else channel.broken or "closed"
            return ""
        finally:
            self.channel = None
            channel.close()


def _why(received: bytes) -> str:
    """What it means that a node has sent something on a link that is ours alone."""
    decoder = FrameDecoder()
    decoder.feed(received)
    try:
        payload = decoder.next()
        said = None if payload is None else decode_response(payload)
    except WireError:
        said = None
    return said.text if isinstance(said, Failed) else "it sent something on a link that is ours alone"
