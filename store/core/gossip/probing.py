"""SWIM's failure detector (Das, Gupta and Motivala 2002, sections 3.1 and 4.3).

Once in a protocol period one member is pinged, in a random order in which each has its turn; if it does not
answer in half of the period, a few others are asked to ping it. What follows from its silence is not decided
here. Of Lifeguard: those who were asked say so (`Nack`), and periods stretch with the local health.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import Final, NamedTuple

from store.core.gossip.health import LocalHealth
from store.core.messages import Nack, News, Ping, PingFor, Pong
from store.core.port import Port

HELPERS: Final = 3
RELAYS_MAX: Final = 1_000
"""Pings that are under way on others' behalf."""


class Probe:
    """Of `target`; `helpers` have been asked to ping it, `nacks` of them had no answer yet."""

    __slots__ = ("answered", "helpers", "nacks", "seq", "target")

    def __init__(self, target: str, seq: int) -> None:
        self.target = target
        self.seq = seq
        self.answered = False
        self.helpers: list[str] = []
        self.nacks: list[str] = []


class Relay(NamedTuple):
    """`asker` wants to know whether `target` answers; its own number for that is `seq`."""

    asker: str
    seq: int
    target: str


class Probing:
    """`up`: who is to be probed; the `doubted` of them are not asked for help. `news_for` gives what goes
    along with a message to a node. `failed` is told of a member that has not answered in any way,
    `each_period` is called before each probe."""

    def __init__(
        self,
        port: Port,
        health: LocalHealth,
        period_nanos: int,
        up: Mapping[str, None],
        doubted: Container[str],
        news_for: Callable[[str], tuple[News, ...]],
        failed: Callable[[str], None],
        each_period: Callable[[], None],
    ) -> None:
        self.period_nanos = period_nanos
        self._port = port
        self._health = health
        self._up = up
        self._doubted = doubted
        self._news_for = news_for
        self._failed = failed
        self._each_period = each_period
        self._round: list[str] = []
        self._seq = 0
        self._probe: Probe | None = None
        self._relays: dict[int, Relay] = {}

    def start(self) -> None:
        """At a moment of its own, so that the nodes of a cluster do not all ping at once."""
        self._port.after(self._port.rng.randrange(self.period_nanos), self._period)

    def joined(self, node: str) -> None:
        """`node` is up: it gets a turn in this round, at random (section 4.3)."""
        if node not in self._round:
            self._round.insert(self._port.rng.randint(0, len(self._round)), node)

    def ping(self, node: str) -> int:
        """Ping without waiting for the answer; the number that it will bear."""
        self._seq += 1
        place = self._port.placement
        self._port.send(node, Ping(self._seq, 0 if place is None else place.epoch, self._news_for(node)))
        return self._seq

    # Probing others -----------------------------------------------------------------------------------

    def _period(self) -> None:
        self._each_period()
        target = self._next()
        length = self._health.scaled(self.period_nanos)
        due = self._port.now + length
        self._probe = None
        if target is not None:
            self._probe = probe = Probe(target, self.ping(target))
            self._port.after(length // 2, lambda: self._ask_others(probe, due))
        self._port.after(length, lambda: self._period_over(due))

    def _next(self) -> str | None:
        """Whose turn it is."""
        for _ in range(2):
            while self._round:
                node = self._round.pop()
                if node in self._up:
                    return node
            self._round = list(self._up)
            self._port.rng.shuffle(self._round)
        return None

    def _ask_others(self, probe: Probe, due: int) -> None:
        if probe.answered or self._port.now >= due:
            return
        others = [node for node in self._up if node != probe.target and node not in self._doubted]
        probe.helpers = self._port.rng.sample(others, min(HELPERS, len(others)))
        for helper in probe.helpers:
            self._port.send(helper, PingFor(probe.seq, probe.target, self._news_for(helper)))

    def _period_over(self, due: int) -> None:
        probe = self._probe
        overslept = self._health.overslept(due, self._port.now)
        if probe is not None and not probe.answered and not overslept:
            if not probe.nacks:
                self._health.worse()  # nobody at all has answered
            self._failed(probe.target)
        self._period()

    # Answers ------------------------------------------------------------------------------------------

    def pinged(self, peer: str, seq: int) -> None:
        place = self._port.placement
        self._port.send(peer, Pong(seq, 0 if place is None else place.epoch, self._news_for(peer)))

    def ponged(self, peer: str, seq: int) -> None:
        probe = self._probe
        if probe is not None and seq == probe.seq and (peer == probe.target or peer in probe.helpers):
            if not probe.answered:
                probe.answered = True
                self._health.better()
            return
        relay = self._relays.get(seq)
        if relay is not None and peer == relay.target:
            del self._relays[seq]
            self.pinged(relay.asker, relay.seq)

    def nacked(self, peer: str, seq: int) -> None:
        probe = self._probe
        if probe is not None and seq == probe.seq and peer in probe.helpers and peer not in probe.nacks:
            probe.nacks.append(peer)

    # On others' behalf --------------------------------------------------------------------------------

    def ping_for(self, peer: str, seq: int, target: str) -> None:
        if target == self._port.name:
            self.pinged(peer, seq)
        elif len(self._relays) < RELAYS_MAX:
            own = self.ping(target)
            self._relays[own] = Relay(peer, seq, target)
            self._port.after(self.period_nanos * 2 // 5, lambda: self._nack(own))
            self._port.after(self.period_nanos, lambda: self._end_relay(own))

    def _nack(self, own: int) -> None:
        relay = self._relays.get(own)
        if relay is not None:
            self._port.send(relay.asker, Nack(relay.seq))

    def _end_relay(self, own: int) -> None:
        self._relays.pop(own, None)
