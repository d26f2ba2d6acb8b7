"""The first frames of every connection. Tags 70 to 73."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from store.core.messages.base import Natural, NodeName, Where


class HelloPeer(Struct, frozen=True, gc=False, array_like=True, tag=70):
    """`epoch` and `digest` are of the sender's layout (0 and empty: it has none): nodes that have different
    layouts of one epoch must not talk. `address`: where the sender listens."""

    cluster: NodeName
    node: NodeName
    epoch: Natural
    digest: Annotated[str, Meta(max_length=64)]
    address: Where


class HelloClient(Struct, frozen=True, gc=False, array_like=True, tag=71):
    cluster: NodeName


class Challenge(Struct, frozen=True, gc=False, array_like=True, tag=72):
    """Before its hello, where both sides share a secret: what the receiver shall prove it with."""

    nonce: Annotated[bytes, Meta(min_length=32, max_length=32)]


class Proof(Struct, frozen=True, gc=False, array_like=True, tag=73):
    """That the sender knows the secret; `nonce` is its own challenge, `node` its name if it listens."""

    nonce: Annotated[bytes, Meta(min_length=32, max_length=32)]
    node: Annotated[str, Meta(max_length=64)]
    mac: Annotated[bytes, Meta(min_length=32, max_length=32)]


Hello = HelloPeer | HelloClient
Opening = Hello | Challenge | Proof
"""Whatever comes before requests and messages."""
