"""The other nodes, as far as this one knows where they are, and what is to be sent to them.

Where a peer is comes from the configuration at first, and then from the node itself (`Meet`), which has it
from gossip. What the configuration pins stays, whatever is heard: what would be sent to where a pinned peer
says that it is, goes to where it is pinned.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Final

import trio

from store.config import NodeConfig
from store.core.messages import NODES_MAX, HelloPeer
from store.logs import event
from store.net.address import Address, parse_address
from store.net.handshake import Security
from store.net.link import Dialer, Knock, Link

KNOCKS_MAX: Final = 16

_log = logging.getLogger(__name__)


class Neighbours:
    """`address` is where this node is to be found; `layout` gives its layout's epoch and digest."""

    def __init__(
        self,
        config: NodeConfig,
        address: Address,
        security: Security,
        layout: Callable[[], tuple[int, str]],
        rng: random.Random,
    ) -> None:
        def hello() -> HelloPeer:
            return HelloPeer(config.cluster, config.name, *layout(), str(address))

        self._name = config.name
        self._address = address
        self._pinned = config.pinned
        self._dialer = Dialer(security, hello)
        self._rng = rng
        self._nursery: trio.Nursery | None = None
        self._knocks: dict[Address, Knock] = {}
        self._heard: dict[str, str] = {}
        """Where pinned peers say that they are."""
        self._dropped = 0
        self.links: dict[str, Link] = {}
        for peer, at in config.peers.items():
            self._link(peer, config.pinned.get(peer, at))

    def start(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        for link in self.links.values():
            nursery.start_soon(link.run)

    def knows(self, peer: str) -> bool:
        return peer in self.links

    def greeted(self, peer: str, text: str) -> None:
        """`peer` has come and said that it is at the address `text`."""
        if peer in self._pinned:
            self._heard[peer] = text

    def meet(self, peer: str, text: str) -> None:
        """`peer` is at the address `text` now; empty: it is gone for good."""
        if peer == self._name:
            return
        self.greeted(peer, text)
        link = self.links.get(peer)
        if not text:
            if link is not None:
                del self.links[peer]
                self._dropped += link.outbox.dropped + len(link.outbox)
                link.end()
            return
        try:
            address = self._pinned.get(peer) or parse_address(text)
        except ValueError:
            event(_log, logging.WARNING, "address-refused", peer=peer, address=text)
            return
        if link is not None:
            link.redirect(address)
        elif len(self.links) < NODES_MAX:
            link = self._link(peer, address)
            if self._nursery is not None:
                self._nursery.start_soon(link.run)

    def knock(self, text: str, frame: bytes) -> Knock | None:
        """Have `frame` sent to whoever is at the address `text`; through what, if there is a way."""
        for peer, heard in self._heard.items():
            if heard == text:
                return self._knock(self._pinned[peer], frame)
        try:
            return self._knock(parse_address(text), frame)
        except ValueError:
            return None

    def _knock(self, address: Address, frame: bytes) -> Knock | None:
        if address == self._address or self._nursery is None or not frame:
            return None
        knock = self._knocks.get(address)
        if knock is None:
            if len(self._knocks) == KNOCKS_MAX:
                self._dropped += 1
                return None
            knock = self._knocks[address] = Knock(address, self._dialer)
            self._nursery.start_soon(self._run_knock, knock)
        knock.push(frame)
        return knock

    def lost(self) -> None:
        """A message has nowhere to go, or no form in which it could."""
        self._dropped += 1

    @property
    def up(self) -> list[str]:
        return [peer for peer, link in self.links.items() if link.channel is not None]

    @property
    def dropped(self) -> int:
        """Messages that were never handed to the network."""
        return self._dropped + sum([link.outbox.dropped for link in self.links.values()])

    def _link(self, peer: str, address: Address) -> Link:
        link = self.links[peer] = Link(peer, address, self._dialer, self._rng)
        return link

    async def _run_knock(self, knock: Knock) -> None:
        try:
            await knock.run()
        finally:
            del self._knocks[knock.address]
            self._dropped += knock.outbox.dropped + len(knock.outbox)
