"""Many nodes that run nothing but SWIM, and the bus between them, in virtual time: light enough for hundreds.

As a real driver does, the bus finds a node by the address that the sender has last been told (`Meet`), and
messages go to whoever listens there. A paused node's messages and timers wait for it.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Generator, Iterable
from typing import Any, NamedTuple, TypeVar, cast

from harness.sim.world import MS, SECOND, World
from store.core.gossip.swim import Swim
from store.core.journal import Journal
from store.core.machine import DamagedRecord, Effect, Persist
from store.core.messages import PeerMessage, Record, Stamp
from store.core.options import Options
from store.core.ownership.layout import Placement, first_layout
from store.core.port import Port

T = TypeVar("T")
PERIOD = SECOND


class Notes(dict[str, Record]):
    """A disk for the little that SWIM keeps. What is under a key in `damaged` cannot be read."""

    def __init__(self) -> None:
        super().__init__()
        self.damaged: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        if key in self.damaged:
            raise DamagedRecord(key)
        return super().get(key, default)

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        return []


class Heard(NamedTuple):
    """What a node has told of itself, at virtual time `at`."""

    at: int
    name: str
    kind: str
    fields: dict[str, Any]


class Peer:
    """One node: what SWIM is given as its port."""

    def __init__(self, bus: Bus, name: str, options: Options, disk: Notes, boot: int, birth: int) -> None:
        self.name, self.birth, self.boot = name, birth, boot
        self.options = options
        self.disk = disk
        self.rng = bus.world.random(f"{name} boot {boot}")
        self.journal = Journal(disk, self._persist, lambda peer, message: None)
        self.placement: Placement | None = bus.placement
        self.paused = False
        self.dead = False
        self.addresses: dict[str, str] = {}
        self.held_back: list[Callable[[], None]] = []
        self.swim: Swim
        self._bus = bus
        self._timers: dict[int, Callable[[], None]] = {}
        self._last = 0

    @property
    def now(self) -> int:
        return self._bus.world.now

    @property
    def wall(self) -> int:
        return self._bus.world.now

    def alive(self, peer: str) -> bool:
        return peer == self.name or self.swim.alive(peer)

    def send(self, peer: str, message: PeerMessage) -> None:
        if peer in self.addresses:
            self._bus.send(self, self.addresses[peer], message)

    def send_to(self, address: str, message: PeerMessage) -> None:
        self._bus.send(self, address, message)

    def meet(self, peer: str, address: str) -> None:
        self.addresses[peer] = address

    def after(self, nanos: int, act: Callable[[], None]) -> int:
        self._last += 1
        token = self._last
        self._timers[token] = act
        self._bus.world.at(self.now + nanos, self.do, lambda: self._fire(token))
        return token

    def _fire(self, token: int) -> None:
        act = self._timers.pop(token, None)
        if act is not None:
            act()

    def cancel(self, token: int) -> None:
        self._timers.pop(token, None)

    def do(self, act: Callable[[], None]) -> None:
        if self.dead:
            return
        if self.paused:
            self.held_back.append(act)
        else:
            act()

    def receive(self, source: str, message: PeerMessage) -> None:
        self.do(lambda: self.swim.handlers[type(message)](source, message))

    def run(self, procedure: Generator[Any, Any, T], timeout_nanos: int, then: Callable[[T], None]) -> None:
        raise AssertionError("SWIM runs no procedures")

    def next_rid(self) -> int:
        raise AssertionError("SWIM asks no questions")

    def stamp(self) -> Stamp:
        raise AssertionError("SWIM writes no data")

    def happened(self, kind: str, /, **fields: Any) -> None:
        self._bus.heard.append(Heard(self.now, self.name, kind, fields))

    def _persist(self, effect: Effect) -> None:
        persist = cast(Persist, effect)
        assert persist.record is not None
        self.disk[persist.key] = persist.record
        self._bus.world.at(self.now, self.do, lambda: self.journal.persisted(persist.token))


class Bus:
    """`cut` holds (source, target) pairs; `lag` how much later (ns) a node hears everything. `measure`
    is given each message that is sent."""

    def __init__(self, seed: int, loss: float = 0.0, twice: float = 0.0, make: type[Swim] = Swim) -> None:
        self.world = World(seed)
        self.rng = self.world.random("bus")
        self.loss, self.twice, self.make = loss, twice, make
        self.cut: set[tuple[str, str]] = set()
        self.lag: dict[str, int] = {}
        self.heard: list[Heard] = []
        self.peers: dict[str, Peer] = {}
        self.placement: Placement | None = None
        self.sent: Counter[str] = Counter()
        self.measure: Callable[[str, PeerMessage], None] = lambda name, message: None
        self._listening: dict[str, str] = {}

    def owners(self, count: int) -> list[str]:
        """A cluster whose nodes know each other from their configuration."""
        names = [f"n{i}" for i in range(1, count + 1)]
        self.placement = Placement(first_layout(names, min(3, count), vnodes=8))
        known = {name: f"{name}:1" for name in names}
        for name in names:
            peers = {peer: at for peer, at in known.items() if peer != name}
            self.start(name, Options(address=known[name], peers=peers, probe_nanos=PERIOD))
        return names

    def joiner(self, name: str, *seeds: str) -> Peer:
        """A node that knows nothing but addresses."""
        return self.start(name, Options(address=f"{name}:1", seeds=seeds, probe_nanos=PERIOD))

    def start(self, name: str, options: Options, disk: Notes | None = None, boot: int = 1) -> Peer:
        birth = random.Random(name).getrandbits(40)
        disk = Notes() if disk is None else disk
        peer = self.peers[name] = Peer(self, name, options, disk, boot, birth)
        peer.swim = self.make(cast(Port, peer), options)
        self._listening[options.address] = name
        peer.swim.start()
        return peer

    def crash(self, name: str) -> None:
        self.peers[name].dead = True

    def restart(self, name: str, options: Options | None = None) -> Peer:
        """Crash it, if it runs, and start it from its disk."""
        before = self.peers[name]
        before.dead = True
        self._listening.pop(before.options.address, None)
        return self.start(name, options or before.options, before.disk, before.boot + 1)

    def pause(self, name: str) -> None:
        self.peers[name].paused = True

    def resume(self, name: str) -> None:
        """It does what it has missed, in order, all at once."""
        peer = self.peers[name]
        peer.paused = False
        acts, peer.held_back = peer.held_back, []
        for act in acts:
            peer.do(act)

    def split(self, *sides: Iterable[str]) -> None:
        """Cut all links between the sides; `split()` heals."""
        of = {name: i for i, side in enumerate(sides) for name in side}
        self.cut = {(a, b) for a in of for b in of if of[a] != of[b]}

    def send(self, source: Peer, address: str, message: PeerMessage) -> None:
        self.sent[source.name] += 1
        self.measure(source.name, message)
        target = self._listening.get(address)
        for _ in range(2 if self.twice and self.rng.random() < self.twice else 1):
            if target is not None and self.rng.random() >= self.loss:
                delay = 200_000 + int(self.rng.expovariate(1) * 0.8 * MS) + self.lag.get(target, 0)
                self.world.at(self.world.now + delay, self._arrive, source.name, target, message)

    def _arrive(self, source: str, target: str, message: PeerMessage) -> None:
        if (source, target) not in self.cut:
            self.peers[target].receive(source, message)

    def run(self, seconds: float) -> None:
        self.world.run_until(self.world.now + int(seconds * SECOND))

    def run_until(self, done: Callable[[], bool], limit_s: float) -> float:
        """Seconds until `done`, looked at every 50 ms; raises AssertionError at the limit."""
        begin = self.world.now
        while not done():
            assert self.world.now - begin < limit_s * SECOND, f"not within {limit_s} s"
            self.run(0.05)
        return (self.world.now - begin) / SECOND

    def running(self) -> list[Peer]:
        return [peer for peer in self.peers.values() if not peer.dead]

    def all_see(self, state: str, node: str) -> bool:
        """Whether all others that run hold `node` to be so."""
        for peer in self.running():
            view = peer.swim.members.get(node)
            if peer.name != node and (view is None or view.state != state):
                return False
        return True

    def until_seen(self, state: str, node: str, limit_s: float) -> float:
        """Seconds until all others that run hold `node` to be so."""
        return self.run_until(lambda: self.all_see(state, node), limit_s)

    def agree(self) -> bool:
        """Whether all that run hold all that run to be alive."""
        return all(self.all_see("alive", peer.name) for peer in self.running())

    def told(self, kind: str) -> list[Heard]:
        return [heard for heard in self.heard if heard.kind == kind]
