"""An outgoing link to one peer. Links are directed: a node speaks to a peer only on its own link, questions
and answers alike, and only listens on the peer's; so each direction can fail, and be cut, by itself.

Messages may be lost, as the protocols allow: a link keeps no more than `BYTES_MAX`, and none over a failed
attempt to connect.
"""

from __future__ import annotations

import logging
import random
import socket
from typing import Final

import trio

from store.channel import Channel, Outbox, dial
from store.config import Address

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

_log = logging.getLogger(__name__)


class Link:
    """`hello` is the first frame of each connection; `rng` spreads the attempts to connect.

    What is to be sent goes to `outbox`; `channel` is there to be flushed while the link is connected.
    """

    def __init__(self, peer: str, address: Address, hello: bytes, rng: random.Random) -> None:
        self.peer = peer
        self.outbox = Outbox(BYTES_MAX)
        self._address = address
        self._hello = hello
        self._rng = rng
        self.channel: Channel | None = None
        self._failures = 0

    async def run(self) -> None:
        """Keep the link connected, for ever."""
        while True:
            reason = await self._attempt()
            self.outbox.drop_all()
            if self._failures == 0:
                _log.warning("link to %s at %s is down: %s", self.peer, self._address, reason)
            backoff_s = min(BACKOFF_MIN_S * 2**self._failures, BACKOFF_MAX_S)
            self._failures = min(self._failures + 1, 10)
            await trio.sleep(backoff_s * self._rng.uniform(0.5, 1.0))

    async def _attempt(self) -> str:
        """Connect and stay connected; why that ended."""
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                sock = await dial(*self._address)
        except trio.TooSlowError:
            return f"no connection within {CONNECT_TIMEOUT_S:g} s"
        except OSError as error:
            return str(error)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKED_MAX_MS)
        self.channel = channel = Channel(sock, self.outbox, first=self._hello)
        try:
            await channel.drain()
            received = b""
            with trio.move_on_after(STEADY_S) as steady:
                received = await channel.receive()
            if steady.cancelled_caught:
                self._failures = 0
                _log.info("link to %s at %s is up", self.peer, self._address)
                received = await channel.receive()
            if received:
                return "it sent something on a link that is ours alone"
            return channel.broken or "closed"
        finally:
            self.channel = None
            channel.close()
