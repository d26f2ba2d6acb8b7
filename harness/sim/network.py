"""The network between the nodes: late, out of order, and as lossy as its options say.

Each message takes its own time, so messages overtake each other. A cut is one-way and sits at the receiving
end, as an iptables DROP there would: what is in flight when the cut begins is dropped if it arrives during
the cut, and what was sent during the cut gets through if it arrives after the healing. A message between
nodes is a datagram here; a real cluster's TCP would send it again, so this network loses more.

Clients reach the nodes on links of their own, which are not lossy. Those of a node can be cut, all at once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import log
from typing import Final, NamedTuple

from harness.cluster.base import Behaviour, LateMs
from harness.sim.packets import Shaper, Treated
from harness.sim.world import MS, US, World
from store.core.machine import FromPeer
from store.core.messages import PeerMessage
from store.net.wire import frame

PROBES: Final = 20
PROBE_BYTES: Final = 100


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


class Timed(NamedTuple):
    """The mean time that probes took, None if none came, and what happened to them."""

    mean_ms: float | None
    suffered: Treated

    def __str__(self) -> str:
        took = "no probe came" if self.mean_ms is None else f"probes took {self.mean_ms:.3g} ms"
        return f"{took}, {self.suffered}"


class _Link:
    __slots__ = ("cut", "distance_ns", "dropped", "late", "receive")

    def __init__(self, receive: Callable[[FromPeer], None]) -> None:
        self.distance_ns = 0
        self.late = 0
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
        self.messages = 0
        """Sent from node to node until now."""
        self._delay = _Delay(world.random("network"), options.delay_min_us, options.delay_mean_us)
        self._client_delay = _Delay(
            world.random("client network"), options.client_delay_min_us, options.client_delay_mean_us
        )
        self._chance = world.random("network faults")
        self._shaping = world.random("packets")
        self._shapers: dict[str, Shaper] = {}
        self._lonely: dict[str, int] = {}
        self._perfect = options.loss_fraction == 0 and options.duplicate_fraction == 0
        self._links = {
            source: {target: _Link(receive) for target, receive in receivers.items() if target != source}
            for source in receivers
        }

    def send(self, source: str, target: str, message: PeerMessage) -> None:
        """`target` is a node's name, which is its address too."""
        self.messages += 1
        link = self._links[source][target]
        event = FromPeer(source, message)
        shaper = self._shapers.get(source)
        if shaper is None:
            self._leave(link, event, self._world.now)
            return
        now = self._world.now
        for late_ns in shaper.copies(len(frame(message)), now):
            self._leave(link, event, now + late_ns)

    def _leave(self, link: _Link, event: FromPeer, at: int) -> None:
        world = self._world
        if link.distance_ns:
            at += link.distance_ns
            link.late += 1
        if not self._perfect:
            if self._chance.random() < self._options.duplicate_fraction:
                world.at(at + self._delay.draw(), self._arrive, link, event)
            if self._chance.random() < self._options.loss_fraction:
                return
        world.at(at + self._delay.draw(), self._arrive, link, event)

    def _arrive(self, link: _Link, event: FromPeer) -> None:
        if link.cut:
            link.dropped += 1
        else:
            link.receive(event)

    def client_delay_ns(self) -> int:
        """How long the next message between a client and a node takes."""
        return self._client_delay.draw()

    def part_clients(self, nodes: Iterable[str]) -> int:
        """From now on clients and exactly these nodes do not hear each other. How many messages between them
        were dropped until now."""
        dropped = sum(self._lonely.values())
        self._lonely = dict.fromkeys(nodes, 0)
        return dropped

    def drops_clients(self, node: str) -> bool:
        """Whether what arrives now, of a client at the node or the other way round, is dropped; it counts."""
        if node not in self._lonely:
            return False
        self._lonely[node] += 1
        return True

    def shape(self, nodes: Iterable[str], behaviour: Behaviour) -> None:
        """From now on what exactly these nodes send behaves so, and counts from 0."""
        self._shapers = {node: Shaper(behaviour, self._shaping) for node in nodes}

    def treated(self) -> Treated:
        """What happened to messages of the nodes that are shaped now."""
        return Treated.of(shaper.treated for shaper in self._shapers.values())

    async def time_probes(self, nodes: Iterable[str]) -> Timed:
        """As `probe`, from these nodes only, several over each link, and through what is done to messages;
        that counts from 0 afterwards."""
        times_ns: list[int] = []
        now = self._world.now
        for source in nodes:
            shaper = self._shapers.get(source)
            for _ in range(PROBES * len(self._links[source])):
                for late_ns in [0] if shaper is None else shaper.copies(PROBE_BYTES, now):
                    times_ns.append(late_ns + self._delay.draw())
        await self._world.sleep(max(times_ns, default=0))
        suffered = self.treated()
        for shaper in self._shapers.values():
            shaper.treated = Treated()
        return Timed(sum(times_ns) / len(times_ns) / MS if times_ns else None, suffered)

    def cut(self, grudge: Mapping[str, frozenset[str]]) -> None:
        """Cut exactly what `grudge` names (for each node, whom it does not hear), and count from 0."""
        for source, links in self._links.items():
            for target, link in links.items():
                link.cut = source in grudge.get(target, ())
                link.dropped = 0

    def set_apart(self, late_ms: LateMs) -> int:
        """From now on messages from one node (the outer name) to another are so late, and no others. How many
        have been late until now."""
        late = 0
        for source, links in self._links.items():
            for target, link in links.items():
                link.distance_ns = int(late_ms.get(source, {}).get(target, 0.0) * MS)
                late += link.late
                link.late = 0
        return late

    async def probe(self) -> dict[tuple[str, str], int]:
        """Send something over every link that is nobody's message, is never lost and counts nowhere, and see
        over which it arrives, and after how many ns."""
        reached: dict[tuple[str, str], int] = {}
        began = last = self._world.now
        for source, links in self._links.items():
            for target, link in links.items():
                arrival = began + link.distance_ns + self._delay.draw()
                last = max(last, arrival)
                self._world.at(arrival, self._probed, link, (source, target), began, reached)
        await self._world.sleep(last - began)
        return reached

    def _probed(
        self, link: _Link, name: tuple[str, str], began: int, reached: dict[tuple[str, str], int]
    ) -> None:
        if not link.cut:
            reached[name] = self._world.now - began

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
