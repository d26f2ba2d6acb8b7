"""Mutual TLS: whoever is at the other end has a certificate of the cluster's authority, and the certificate
says whether it is a node's, and which, or a client's.

Names are in the certificate as a URI, urn:stormcellar:node:NAME or urn:stormcellar:client:NAME; host names
play no part, so nodes may move. A node's certificate is also good for asking as a client. TLS 1.3 only.
Left out: revocation (make a new authority), and certificates that change while the node runs (restart it).

TLS runs in memory beside the socket, so that sending stays a matter of ordinary code, as in channel.py.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from store.core.messages import HelloClient, HelloPeer
from store.net.channel import RECEIVE_BYTES, Channel, Outbox
from store.net.handshake import (
    CLOSED,
    OPENING_BYTES_MAX,
    TLS_FIRST_BYTE,
    Arrival,
    SecurityError,
    Unproven,
    heard,
    kept_private,
    readable,
    refused,
    whole_hello,
)
from store.net.wire import FrameDecoder, frame

URN: Final = "urn:stormcellar:"
WELCOME: Final = b"+"
"""What a node says when it has taken the other's certificate; without it, the other would not learn why it
was turned away before it has asked something."""


ROLES: Final = ("node", "client")


class Identity(NamedTuple):
    role: str
    name: str

    def __str__(self) -> str:
        return f"{self.role} {self.name!r}"


class TlsChannel(Channel):
    """A channel whose bytes are TLS records. Nothing of `outbox` is sent before `shake_hands` is done."""

    def __init__(self, sock: socket.socket, outbox: Outbox, context: ssl.SSLContext, is_server: bool) -> None:
        super().__init__(sock, outbox)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server)
        self._greeted = False
        self._secured = False
        self._deciphered = b""

    async def shake_hands(self, first: bytes) -> Identity:
        """Send `first`; who is at the other end. Raises `Unproven`."""
        while not self._secured:
            try:
                self._tls.do_handshake()
                self._secured = True
                self._tls.write(first)
            except ssl.SSLWantReadError:
                await self.drain()
                self._incoming.write(await self._raw())
            except ssl.SSLError as error:
                await self.drain()  # the alert that says why
                raise Unproven(_reason(error)) from None
        return _identity(self._tls.getpeercert() or {})

    async def welcomed(self) -> None:
        """Wait until the other side has taken our certificate, too."""
        data = await self.receive()
        if not data.startswith(WELCOME):
            raise Unproven(self.broken or "it does not follow the protocol")
        self._deciphered = data[len(WELCOME) :]

    async def receive(self) -> bytes:
        while True:
            self._decipher()
            if self._deciphered:
                data, self._deciphered = self._deciphered, b""
                return data
            received = await super().receive()
            if not received:
                return b""
            self._incoming.write(received)

    def ended(self) -> bool:
        while self.broken is None and len(self._deciphered) < RECEIVE_BYTES:
            try:
                data = self._sock.recv(RECEIVE_BYTES)
            except BlockingIOError:
                break
            except OSError as error:
                self._break(error)
                break
            if not data:
                self.broken = CLOSED
                break
            self._incoming.write(data)
            self._decipher()
        return self.broken is not None

    async def _raw(self) -> bytes:
        """What has come of the handshake."""
        data = await super().receive()
        if not data:
            raise Unproven(f"{self.broken} during the TLS handshake")
        if self._tls.server_side and not self._greeted and data[0] != TLS_FIRST_BYTE:
            text = "this node demands TLS and a certificate of its cluster"
            raise refused(Channel(self._sock, Outbox()), text)
        self._greeted = True
        return data

    def _decipher(self) -> None:
        pieces = [self._deciphered] if self._deciphered else []
        try:
            while piece := self._tls.read(RECEIVE_BYTES):
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.broken = self.broken or CLOSED
        except ssl.SSLError as error:
            self.broken = self.broken or _reason(error)
        if pieces:
            self._deciphered = b"".join(pieces)

    def _refill(self) -> bool:
        if self._secured and self.outbox and self.broken is None:
            try:
                self._tls.write(self.outbox.take())
            except ssl.SSLError as error:
                self.broken = self.broken or _reason(error)
        self._sending = memoryview(self._outgoing.read())
        return bool(self._sending)


class Tls:
    """`cert` and `key` are this side's, `ca` the authority's certificate, all in PEM. Raises
    `SecurityError`."""

    def __init__(self, cert: Path, key: Path, ca: Path) -> None:
        server = _context(ssl.PROTOCOL_TLS_SERVER, cert, key, ca)
        server.num_tickets = 0
        self.context: ssl.SSLContext | None = server
        self.token: str | None = None
        self._server = server
        self._client = _context(ssl.PROTOCOL_TLS_CLIENT, cert, key, ca)

    async def client_channel(self, sock: socket.socket, outbox: Outbox, hello: HelloClient) -> Channel:
        return await self._dialed(sock, outbox, hello, "")

    async def peer_channel(self, sock: socket.socket, outbox: Outbox, hello: HelloPeer, peer: str) -> Channel:
        return await self._dialed(sock, outbox, hello, peer)

    async def _dialed(
        self, sock: socket.socket, outbox: Outbox, hello: HelloPeer | HelloClient, peer: str
    ) -> Channel:
        channel = TlsChannel(sock, outbox, self._client, is_server=False)
        try:
            other = await channel.shake_hands(frame(hello))
            if other.role != "node" or peer not in ("", other.name):
                expected = f"node {peer!r}" if peer else "a node"
                raise Unproven(f"it has the certificate of {other}, not of {expected}")
            await channel.drain()
            await channel.welcomed()
        except BaseException:
            channel.close()
            raise
        return channel

    async def arrival(self, sock: socket.socket) -> Arrival:
        channel = TlsChannel(sock, Outbox(), self._server, is_server=True)
        try:
            other = await channel.shake_hands(WELCOME)
            await channel.drain()
            decoder = FrameDecoder(OPENING_BYTES_MAX)
            hello = whole_hello(await heard(channel, decoder))
            if isinstance(hello, HelloPeer) and other != Identity("node", hello.node):
                raise Unproven(f"it says that it is node {hello.node!r}, with the certificate of {other}")
        except BaseException:
            channel.close()
            raise
        return Arrival(channel, decoder, hello)


def _identity(certificate: Mapping[str, Any]) -> Identity:
    """Whom a verified certificate names; raises `Unproven`."""
    for kind, text in certificate.get("subjectAltName", ()):
        role, colon, name = text.removeprefix(URN).partition(":")
        if kind == "URI" and text.startswith(URN) and colon and role in ROLES:
            return Identity(role, name)
    raise Unproven("its certificate names neither a node nor a client")


def _reason(error: ssl.SSLError) -> str:
    """One sentence, without where in OpenSSL it was."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is refused: {error.verify_message}"
    words = (error.reason or "TLS failed").replace("_", " ").lower()
    if " alert " in words:
        return f"it refuses our certificate: {words.partition(' alert ')[2]}"
    return f"it does not speak TLS as it should: {words}"


def _context(protocol: int, cert: Path, key: Path, ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED
    try:
        context.load_cert_chain(readable(cert), kept_private(key), password=lambda: "")
    except (OSError, ValueError) as error:
        reason = (getattr(error, "reason", None) or str(error)).replace("_", " ").lower()
        reason = reason.removeprefix("[ssl] ").partition(" ( ssl.c:")[0]
        raise SecurityError(f"{cert} and {key} are no certificate and its key in PEM: {reason}") from None
    try:
        context.load_verify_locations(readable(ca))
    except OSError as error:
        raise SecurityError(f"{ca} is no certificate in PEM: {error.strerror or error}") from None
    return context
