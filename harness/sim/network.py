"""The network between the nodes: late, out of order, and as lossy as its options say.

Each message takes its own time, so messages overtake each other. A cut is one-way and sits at the receiving
end, as an iptables DROP there would: what is in flight when the cut begins is dropped if it arrives during
the cut, and what was sent during the cut gets through if it arrives after the healing. A message between
nodes is a datagram here; a real cluster's TCP would send it again, so this network loses more.

Clients reach the nodes on links of their own, which are neither cut nor lossy.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import log
from typing import NamedTuple

from harness.sim.world import US, World
from store.core.machine import FromPeer
from store.core.messages import PeerMessage


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """A message takes `delay_min_us` plus an exponentially distributed time of mean `delay_mean_us`. The
    fractions are of the messages between nodes, 0 to 1; a duplicate arrives at a time of its own."""

    delay_min_us: int = 200
    delay_mean_us: int = 800
    client_delay_min_us: int = 50
    client_delay_mean_us: int = 100
    loss_fraction: float = 0.0
    duplicate_fraction: float = 0.0

    def __post_init__(self) -> None:
        for name in ("delay_min_us", "delay_mean_us", "client_delay_min_us", "client_delay_mean_us"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more microseconds, got {getattr(self, name)}")
        for name in ("loss_fraction", "duplicate_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be from 0 to 1, got {getattr(self, name)}")


class CutLink(NamedTuple):
    """One direction that is cut; `dropped`: the messages that it has swallowed since the last cut."""

    source: str
    target: str
    dropped: int


class _Link:
    __slots__ = ("cut", "dropped", "receive")

    def __init__(self, receive: Callable[[FromPeer], None]) -> None:
        self.cut = False
        self.dropped = 0
        self.receive = receive


class Network:
    """`receivers` take each node's messages, by name. Raises KeyError for a node that is not among them."""

    def __init__(
        self, world: World, options: NetworkOptions, receivers: Mapping[str, Callable[[FromPeer], None]]
    ) -> None:
        self._world = world
        self._options = options
        self._delay = _Delay(world.random("network"), options.delay_min_us, options.delay_mean_us)
        self._client_delay = _Delay(
            world.random("client network"), options.client_delay_min_us, options.client_delay_mean_us
        )
        self._chance = world.random("network faults")
        self._perfect = options.loss_fraction == 0 and options.duplicate_fraction == 0
        self._links = {
            source: {target: _Link(receive) for target, receive in receivers.items() if target != source}
            for source in receivers
        }

    def send(self, source: str, target: str, message: PeerMessage) -> None:
        """`target` is a node's name, which is its address too."""
        link = self._links[source][target]
        world = self._world
        event = FromPeer(source, message)
        if not self._perfect:
            if self._chance.random() < self._options.duplicate_fraction:
                world.at(world.now + self._delay.draw(), self._arrive, link, event)
            if self._chance.random() < self._options.loss_fraction:
                return
        world.at(world.now + self._delay.draw(), self._arrive, link, event)

    def _arrive(self, link: _Link, event: FromPeer) -> None:
        if link.cut:
            link.dropped += 1
        else:
            link.receive(event)

    def client_delay_ns(self) -> int:
        """How long the next message between a client and a node takes."""
        return self._client_delay.draw()

    def cut(self, grudge: Mapping[str, frozenset[str]]) -> None:
        """Cut exactly what `grudge` names (for each node, whom it does not hear), and count from 0."""
        for source, links in self._links.items():
            for target, link in links.items():
                link.cut = source in grudge.get(target, ())
                link.dropped = 0

    async def probe(self) -> list[tuple[str, str]]:
        """Send something over every link that is nobody's message, is never lost and counts nowhere, and see
        over which it arrives."""
        reached: list[tuple[str, str]] = []
        last = self._world.now
        for source, links in self._links.items():
            for target, link in links.items():
                arrival = self._world.now + self._delay.draw()
                last = max(last, arrival)
                self._world.at(arrival, self._probed, link, (source, target), reached)
        await self._world.sleep(last - self._world.now)
        return reached

    def _probed(self, link: _Link, name: tuple[str, str], reached: list[tuple[str, str]]) -> None:
        if not link.cut:
            reached.append(name)

    def cuts(self) -> list[CutLink]:
        """The links that are cut now, in the order of the nodes."""
        return [
            CutLink(source, target, link.dropped)
            for source, links in self._links.items()
            for target, link in links.items()
            if link.cut
        ]


class _Delay:
    __slots__ = ("_mean_ns", "_min_ns", "_random")

    def __init__(self, rng: random.Random, min_us: int, mean_us: int) -> None:
        self._random = rng.random
        self._min_ns = min_us * US
        self._mean_ns = mean_us * US

    def draw(self) -> int:
        return self._min_ns + int(-log(1.0 - self._random()) * self._mean_ns)
