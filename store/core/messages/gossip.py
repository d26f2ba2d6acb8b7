"""SWIM's messages: who is alive, as far as anybody knows. Tags 100 to 109. No questions: nobody waits."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from msgspec import Meta, Struct

from store.core.messages.base import Natural, NodeName, Where
from store.core.messages.layout import NODES_MAX

NEWS_MAX: Final = 16
"""The most pieces of news that go with one message."""
INCARNATIONS: Final = 1 << 62
"""Incarnations are below this, so that there is always one more to answer with."""

Incarnation = Annotated[int, Meta(ge=0, lt=1 << 62)]
State = Literal["alive", "suspect", "dead", "left"]


class News(Struct, frozen=True, gc=False, array_like=True):
    """What is said of `node`; of two, the one with the higher incarnation wins, then left over dead over
    suspect over alive. `address` and `birth` belong to the incarnation; `left`: dead because it wished to."""

    node: NodeName
    state: State
    incarnation: Incarnation
    address: Where
    birth: Natural
    by: NodeName
    """Who says so; for suspicion, whose independent accusation this is (Lifeguard)."""


Spread = Annotated[tuple[News, ...], Meta(max_length=NEWS_MAX)]


class Ping(Struct, frozen=True, gc=False, array_like=True, tag=100):
    seq: Natural
    epoch: Natural
    news: Spread


class Pong(Struct, frozen=True, gc=False, array_like=True, tag=101):
    """Answers Ping; also PingFor, in the name of its target."""

    seq: Natural
    epoch: Natural
    news: Spread


class PingFor(Struct, frozen=True, gc=False, array_like=True, tag=102):
    """Asks for a ping of `target` on the sender's behalf."""

    seq: Natural
    target: NodeName
    news: Spread


class Nack(Struct, frozen=True, gc=False, array_like=True, tag=103):
    """The indirect ping has not been answered so far; it tells that the one asked is itself alive."""

    seq: Natural


class Sync(Struct, frozen=True, gc=False, array_like=True, tag=104):
    """All that the sender knows; `wants_back`: it would like as much in return."""

    members: Annotated[tuple[News, ...], Meta(max_length=2 * NODES_MAX)]
    wants_back: bool


class Rumor(Struct, frozen=True, gc=False, array_like=True, tag=105):
    """News that does not wait for a ping to ride on."""

    news: Spread


Gossip = Ping | Pong | PingFor | Nack | Sync | Rumor
