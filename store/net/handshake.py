"""How a connection begins: who is at the other end, and what it says first.

A `Security` is one way to know that. Here is the way without any proof, for loopback; certificates are in
store/net/tls.py, a shared secret in store/net/secret.py.
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Final, NamedTuple, Protocol

from store.core.messages import Challenge, Failed, HelloClient, HelloPeer, Opening, Proof
from store.net.channel import Channel, Outbox
from store.net.wire import FrameDecoder, WireError, decode_opening, frame, refusal

OPENING_BYTES_MAX: Final = 4096
"""The largest frame of one who has not said yet who it is."""
CLOSED: Final = "closed by the other side"
TLS_FIRST_BYTE: Final = 0x16
"""With which each TLS connection begins, and no frame of ours."""


class Unproven(Exception):
    """The other side is not what it must be, or does not take us for what we are: one sentence."""


class SecurityError(Exception):
    """A certificate, key or secret is of no use: one sentence that names the file."""


class Arrival(NamedTuple):
    """An incoming connection that has said, and where that is demanded proved, who it is. The decoder may
    hold more of what it said."""

    channel: Channel
    decoder: FrameDecoder
    hello: HelloPeer | HelloClient


class Security(Protocol):
    """The channels take over the socket: it is closed if they raise `Unproven` or are cancelled.

    For HTTP: `context` is how its connections are secured, `token` what each request must show; None: not
    at all.
    """

    context: ssl.SSLContext | None
    token: str | None

    async def client_channel(self, sock: socket.socket, outbox: Outbox, hello: HelloClient) -> Channel:
        """A channel to a node of the cluster, on which `hello` is said first."""
        ...

    async def peer_channel(self, sock: socket.socket, outbox: Outbox, hello: HelloPeer, peer: str) -> Channel:
        """The same for a node; `peer` is who must be there, empty: any node."""
        ...

    async def arrival(self, sock: socket.socket) -> Arrival:
        """Hear out who has connected."""
        ...


class Plain:
    """Everybody is believed, and everything can be read and changed on its way."""

    context: ssl.SSLContext | None = None
    token: str | None = None

    async def client_channel(self, sock: socket.socket, outbox: Outbox, hello: HelloClient) -> Channel:
        return opened(Channel(sock, outbox, first=frame(hello)))

    async def peer_channel(self, sock: socket.socket, outbox: Outbox, hello: HelloPeer, peer: str) -> Channel:
        return opened(Channel(sock, outbox, first=frame(hello)))

    async def arrival(self, sock: socket.socket) -> Arrival:
        channel = Channel(sock, Outbox())
        try:
            decoder = FrameDecoder(OPENING_BYTES_MAX)
            said = await heard(channel, decoder)
            if isinstance(said, Challenge):
                raise refused(channel, "this node shares no secret with anybody; connect without one")
            return Arrival(channel, decoder, whole_hello(said))
        except BaseException:
            channel.close()
            raise


PLAIN: Final = Plain()


def opened(channel: Channel) -> Channel:
    """`channel`, once its first frame is on its way."""
    channel.flush()
    return channel


async def heard(channel: Channel, decoder: FrameDecoder) -> Opening:
    """The next frame of one who has not said yet who it is; raises `Unproven`."""
    try:
        while (payload := decoder.next()) is None:
            data = await channel.receive()
            if not data:
                raise Unproven(channel.broken or CLOSED)
            if not decoder.buffered_bytes and data[0] == TLS_FIRST_BYTE:
                raise Unproven("it speaks TLS, and this node does not")
            decoder.feed(data)
        said = decode_opening(payload)
    except WireError as error:
        raise Unproven(str(error)) from None
    if isinstance(said, Failed):
        raise Unproven(said.text)
    return said


def whole_hello(said: Opening) -> HelloPeer | HelloClient:
    if isinstance(said, Challenge | Proof):
        raise Unproven(f"a {type(said).__name__} where a hello must be")
    return said


def refused(channel: Channel, text: str) -> Unproven:
    """Say on `channel` that it is refused; the error to be raised."""
    channel.outbox.push(frame(refusal(text)))
    channel.flush()
    return Unproven(text)


def readable(path: Path) -> Path:
    """`path`, if it is a file that can be read; raises `SecurityError`."""
    try:
        path.open("rb").close()
    except OSError as error:
        raise SecurityError(f"{path} cannot be read: {error.strerror}") from None
    return path


def kept_private(path: Path) -> Path:
    """The same, if not everybody on this machine can read it, too."""
    if os.name == "posix" and readable(path).stat().st_mode & stat.S_IROTH:
        raise SecurityError(f"{path} can be read by everybody on this machine: chmod 600 {path}")
    return readable(path)
