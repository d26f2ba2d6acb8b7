"""A shared secret, for labs: both sides prove that they know it, and it is never sent (HMAC-SHA256 over a
challenge of each, RFC 2104).

What this does not give: nothing is encrypted, nothing after the hello is protected from change on its way,
and all who know the secret are trusted alike, whatever name or role they take. Where that matters, use TLS.

Over HTTP, the token is made of it: `printf http | openssl dgst -sha256 -hmac "$(cat secret)"` shows it.

    dialer    -> Challenge(nonce)
    listener  -> Proof(its own nonce, its name, MAC over both nonces and its name)
    dialer    -> Proof(nonce, "", MAC over both nonces and the hello), and the hello
"""

from __future__ import annotations

import hmac
import secrets
import socket
import ssl
from pathlib import Path
from typing import Final

from store.core.messages import Challenge, HelloClient, HelloPeer, Proof
from store.net.channel import Channel, Outbox
from store.net.handshake import (
    OPENING_BYTES_MAX,
    Arrival,
    SecurityError,
    Unproven,
    heard,
    kept_private,
    refused,
    whole_hello,
)
from store.net.wire import FrameDecoder, frame

SECRET_BYTES_MIN: Final = 16
SECRET_BYTES_MAX: Final = 1024
NONCE_BYTES: Final = 32
STRANGER: Final = "this node demands proof of its cluster's shared secret"


class Secret:
    """`node` is this side's name; empty for a client."""

    def __init__(self, secret: bytes, node: str = "") -> None:
        self.context: ssl.SSLContext | None = None
        self.token: str | None = hmac.digest(secret, b"http", "sha256").hex()
        self._secret = secret
        self._node = node

    @classmethod
    def from_file(cls, path: Path, node: str = "") -> Secret:
        """Blanks around the secret do not count; raises `SecurityError`."""
        with kept_private(path).open("rb") as file:
            secret = file.read(SECRET_BYTES_MAX + 1).strip()
        if not SECRET_BYTES_MIN <= len(secret) <= SECRET_BYTES_MAX:
            raise SecurityError(
                f"{path} must hold a secret of {SECRET_BYTES_MIN} to {SECRET_BYTES_MAX} bytes, "
                f"not {len(secret)}"
            )
        return cls(secret, node)

    async def client_channel(self, sock: socket.socket, outbox: Outbox, hello: HelloClient) -> Channel:
        return await self._dialed(sock, outbox, hello, "")

    async def peer_channel(self, sock: socket.socket, outbox: Outbox, hello: HelloPeer, peer: str) -> Channel:
        return await self._dialed(sock, outbox, hello, peer)

    async def _dialed(
        self, sock: socket.socket, outbox: Outbox, hello: HelloPeer | HelloClient, peer: str
    ) -> Channel:
        ours = secrets.token_bytes(NONCE_BYTES)
        talk = Channel(sock, Outbox(), first=frame(Challenge(ours)))
        try:
            await talk.drain()
            proof = await self._proof(talk)
            if not hmac.compare_digest(
                proof.mac, self._mac("listener", ours, proof.nonce, proof.node.encode())
            ):
                raise Unproven("it does not know the same secret")
            if peer not in ("", proof.node):
                raise Unproven(f"it is node {proof.node!r}, not {peer!r}")
        except BaseException:
            talk.close()
            raise
        said = frame(hello)
        mac = self._mac("dialer", ours, proof.nonce, said)
        channel = Channel(sock, outbox, first=frame(Proof(ours, "", mac)) + said)
        channel.flush()
        return channel

    async def _proof(self, channel: Channel) -> Proof:
        said = await heard(channel, FrameDecoder(OPENING_BYTES_MAX))
        if not isinstance(said, Proof):
            raise Unproven("it does not prove that it knows the secret")
        return said

    async def arrival(self, sock: socket.socket) -> Arrival:
        channel = Channel(sock, Outbox())
        decoder = FrameDecoder(OPENING_BYTES_MAX)
        try:
            challenge = await heard(channel, decoder)
            if not isinstance(challenge, Challenge):
                raise refused(channel, STRANGER)
            ours = secrets.token_bytes(NONCE_BYTES)
            mac = self._mac("listener", challenge.nonce, ours, self._node.encode())
            channel.outbox.push(frame(Proof(ours, self._node, mac)))
            await channel.drain()
            proof = await heard(channel, decoder)
            hello = whole_hello(await heard(channel, decoder))
            expected = self._mac("dialer", challenge.nonce, ours, frame(hello))
            if not isinstance(proof, Proof) or not hmac.compare_digest(proof.mac, expected):
                raise refused(channel, STRANGER)
        except BaseException:
            channel.close()
            raise
        return Arrival(channel, decoder, hello)

    def _mac(self, side: str, dialers: bytes, listeners: bytes, said: bytes) -> bytes:
        return hmac.digest(self._secret, side.encode() + b"\0" + dialers + listeners + said, "sha256")
