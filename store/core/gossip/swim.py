"""Who is alive, as far as this node knows: SWIM (Das, Gupta and Motivala 2002) with Lifeguard (Dadgar,
Phillips and Currey 2018, arXiv:1707.00788).

Here is what is done with news, whoever it comes from; who is probed stands in probing.py, what outranks what
in members.py, how long a suspicion lasts in suspicion.py, what rides on a message in dissemination.py. That a
node is dead changes nothing in who owns what. docs/protocols/swim.md says where this departs from the papers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from msgspec.structs import replace

from store.core.gossip.dissemination import Dissemination
from store.core.gossip.health import LocalHealth
from store.core.gossip.members import BOOT_SHIFT, RISE_MAX, Members, rank
from store.core.gossip.probing import Probing
from store.core.gossip.suspicion import Bounds, Suspicion, bounds
from store.core.machine import DamagedRecord
from store.core.messages import (
    INCARNATIONS,
    NEWS_MAX,
    Nack,
    News,
    Note,
    Ping,
    PingFor,
    Pong,
    Rumor,
    Sync,
)
from store.core.options import Options
from store.core.ownership.layout import Placement
from store.core.port import Port

RUMORS_PER_PERIOD: Final = 5
RUMOR_PEERS: Final = 3
"""While there is news, so many members are told so often, besides what rides on pings."""
SYNC_PERIODS: Final = 30
"""How often a node compares all it knows with another."""
FORGET_PERIODS: Final = 3_600
"""How long whoever is gone and owns nothing is remembered: longer than old news of him may linger."""
ADDRESSES: Final = "m/members"
"""Storage key: where the others were, for the next start."""


class Swim:
    """`heard` is told the epoch of any node that has another than this one's. `on_change` are called with a
    node and its new state ("alive", "suspect", "dead", "left", or "" when it is forgotten)."""

    def __init__(
        self, port: Port, options: Options, heard: Callable[[str, int], None] = lambda peer, epoch: None
    ) -> None:
        self.on_change: list[Callable[[str, str], None]] = []
        self.members = Members(self._owners, self._forgotten)
        self.health = LocalHealth(options.probe_nanos)
        self.me = News(
            port.name, "alive", port.boot << BOOT_SHIFT, options.address, port.birth, port.name
        )  # as the others shall know it
        self._port = port
        self._options = options
        self._quiet = options.probe_nanos == 0
        self._up = self.members.up
        self._heard_epoch = heard
        self._news = Dissemination()
        self._suspicions: dict[str, Suspicion] = {}
        self._probing = Probing(
            port,
            self.health,
            options.probe_nanos,
            self._up,
            self._suspicions,
            self._news_for,
            self._suspect,
            self._each_period,
        )
        self._met: dict[str, str] = {}
        self._rumor_timer = 0
        self._periods_to_sync = 0
        self._has_company = False
        self._is_newcomer = True
        self._addresses_changed = False
        self._place: Placement | None = None
        self.handlers: dict[type, Callable[[str, Any], None]] = {
            Ping: self._ping,
            Pong: self._pong,
            PingFor: self._ping_for,
            Nack: self._nack,
            Sync: self._sync,
            Rumor: self._rumor,
        }

    # What others ask of it ----------------------------------------------------------------------------

    def alive(self, peer: str) -> bool:
        """Suspected nodes are; where there is no gossip, everyone is."""
        return peer in self._up or self._quiet

    def address(self, peer: str) -> str:
        """Where `peer` listens, as far as is known; else empty."""
        if peer == self._port.name:
            return self.me.address
        known = self.members.get(peer)
        return (known.address if known else "") or self._options.peers.get(peer, "")

    def birth(self, peer: str) -> int:
        """The life of its data directory that `peer` tells of; 0: not known."""
        known = self.me if peer == self._port.name else self.members.get(peer)
        return known.birth if known else 0

    def leave(self) -> None:
        """Tell the others that this node goes on purpose. It should run for some periods more, so that they
        hear it; it does not come back before its next start."""
        self.me = replace(self.me, state="left")
        self._port.happened("leaving", incarnation=self.me.incarnation)
        self._spread(self.me)

    def status(self) -> dict[str, Any]:
        if self._quiet:
            return {}
        return {"incarnation": self.me.incarnation, "local_health": self.health.score}

    # Start ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        if self._quiet:
            return
        for news in self._remembered():
            self._learn(news)
        for peer, address in self._options.peers.items():
            self._learn(News(peer, "alive", 0, address, 0, self._port.name))
        self._look_at_layout()
        self._spread(self.me)
        self._periods_to_sync = 1 + self._port.rng.randrange(SYNC_PERIODS)
        self._ask_around()
        self._probing.start()

    def _remembered(self) -> list[News]:
        """Whom this node knew before its restart, taken to be alive."""
        try:
            note = self._port.journal.get(ADDRESSES)
        except DamagedRecord:
            self._port.happened("record-damaged", key=ADDRESSES)
            return []
        if not isinstance(note, Note):
            return []
        return [
            News(node, "alive", incarnation, address, birth, self._port.name)
            for node, incarnation, address, birth in note.content
        ]

    def _learn(self, news: News) -> None:
        """Of a node that others have not told of."""
        if news.node != self._port.name and news.node not in self.members:
            self._believe(news)

    def _look_at_layout(self) -> None:
        """Owners are members, whether or not they have been heard of."""
        place = self._port.placement
        if place is not self._place and place is not None:
            self._place = place
            for node in place.names:
                self._learn(News(node, "alive", 0, self._options.peers.get(node, ""), 0, self._port.name))

    def _owners(self) -> tuple[str, ...]:
        place = self._port.placement
        return () if place is None else place.names

    # Each protocol period -------------------------------------------------------------------------------

    def _each_period(self) -> None:
        self._look_at_layout()
        if not self._has_company or not self._up:
            self._ask_around()
        self._periods_to_sync -= 1
        if self._periods_to_sync <= 0 and self._up:
            self._periods_to_sync = SYNC_PERIODS
            self._port.send(self._port.rng.choice(list(self._up)), self._everything(wants_back=True))
        if len(self.members) > len(self._up):
            self._call_on_the_dead()
            for node in self.members.gone_since(self._port.now - FORGET_PERIODS * self._options.probe_nanos):
                self.members.forget(node)
        if self._addresses_changed:
            self._note_addresses()

    def _ask_around(self) -> None:
        """Nobody has answered yet, or nobody is left."""
        asks = self._everything(wants_back=True)
        for seed in self._options.seeds:
            if seed != self.me.address:
                self._port.send_to(seed, asks)
        if self._up:
            self._port.send(self._port.rng.choice(list(self._up)), asks)

    def _call_on_the_dead(self) -> None:
        """All together ping each dead member about once in a period, as they do with those alive: so even
        halves that have declared each other dead find together again."""
        dead = self.members.having("dead")
        if dead and self._port.rng.random() * max(1, len(self._up)) < len(dead):
            self._probing.ping(self._port.rng.choice(dead))

    def _note_addresses(self) -> None:
        self._addresses_changed = False
        known = [news for news in self.members.all() if news.address and news.state != "left"]
        content = [[news.node, news.incarnation, news.address, news.birth] for news in known]
        self._port.journal.put(ADDRESSES, Note(content))

    # Messages -------------------------------------------------------------------------------------------

    def _ping(self, peer: str, message: Ping) -> None:
        if not self._quiet:
            self._hear(peer, message.news, message.epoch)
            self._probing.pinged(peer, message.seq)

    def _pong(self, peer: str, message: Pong) -> None:
        if not self._quiet:
            self._hear(peer, message.news, message.epoch)
            self._probing.ponged(peer, message.seq)

    def _ping_for(self, peer: str, message: PingFor) -> None:
        if not self._quiet:
            self._hear(peer, message.news)
            self._probing.ping_for(peer, message.seq, message.target)

    def _nack(self, peer: str, message: Nack) -> None:
        self._probing.nacked(peer, message.seq)

    def _rumor(self, peer: str, message: Rumor) -> None:
        if not self._quiet:
            self._hear(peer, message.news)

    def _sync(self, peer: str, message: Sync) -> None:
        if self._quiet:
            return
        # A newcomer need not tell the others what they have just told it.
        is_old = self._is_newcomer and not message.wants_back
        self._hear(peer, message.members, spread=not is_old)
        if message.wants_back:
            self._port.send(peer, self._everything(wants_back=False))
        else:
            self._is_newcomer = False

    def _hear(self, peer: str, news: tuple[News, ...], epoch: int | None = None, spread: bool = True) -> None:
        self._has_company = True
        known = self.members.get
        for piece in news:
            if piece.node == self._port.name:
                self._hear_of_myself(peer, piece)
            elif piece != known(piece.node):
                self._hear_of(piece, peer, spread)
        if epoch is not None:
            place = self._port.placement
            if epoch != (0 if place is None else place.epoch):
                self._heard_epoch(peer, epoch)

    # News -----------------------------------------------------------------------------------------------

    def _hear_of_myself(self, peer: str, news: News) -> None:
        """Refute what is not so, with a higher incarnation; also what is left of a former life."""
        if self.me.state == "left":
            return
        rise = news.incarnation - self.me.incarnation
        if rank(news) <= rank(self.me):
            if news.state != "alive":
                self._port.send(peer, Rumor((self.me,)))  # refuted already, but it has not heard of that
            return
        if rise > RISE_MAX or news.incarnation + 1 >= INCARNATIONS:
            self._port.send(peer, Rumor((self.me,)))
            return
        if news.state == "suspect":
            self.health.worse()
        self.me = replace(self.me, incarnation=news.incarnation + 1)
        self._port.happened("refuted", said=news.state, by=news.by, incarnation=self.me.incarnation)
        self._spread(self.me)

    def _hear_of(self, news: News, peer: str, spread: bool = True) -> None:
        held = self.members.get(news.node)
        believed = self.members.judge(news, from_itself=news.node == peer)
        if held is not None and news.node == peer and rank(news) < rank(held):
            self._contradict(news, held)
        if believed is not None:
            self._believe(believed, spread)
            if held is not None and held.state == "dead" and news.node == peer:
                self._port.send(peer, self._everything(wants_back=True))
        elif held is None or held.state != "suspect" or held.incarnation != news.incarnation:
            return
        suspicion = self._suspicions.get(news.node)
        if suspicion is None:
            return
        if news.state == "dead" and suspicion.make_certain():
            self._arm(news.node, suspicion)
        elif news.state == "suspect" and suspicion.confirm(news.by):
            self._spread(news)
            self._arm(news.node, suspicion)

    def _contradict(self, news: News, held: News) -> None:
        """A node says of itself what is outdated by what others have said of it. If they have told a false
        address, it can hear of that in no other way than at the one that it tells."""
        if news.address and news.address != held.address:
            self._port.send_to(news.address, Rumor((held,)))

    def _suspect(self, node: str) -> None:
        """It has not answered."""
        held = self.members.get(node)
        if held is not None and node in self._up:
            accusation = replace(held, state="suspect", by=self._port.name)
            self._hear_of(accusation, self._port.name)
            self._port.send(node, Rumor((accusation,)))  # nobody needs to know more than the accused

    def _believe(self, news: News, spread: bool = True) -> None:
        """From now on `news` is what is known of its node."""
        node = news.node
        held = self.members.get(node)
        before = self.members.put(news, self._port.now, self._port.wall // 1_000_000)
        if spread and (news.incarnation or news.state != "alive"):
            self._spread(news)
        self._meet(node)
        if before not in ("alive", "suspect") and node in self._up:
            self._probing.joined(node)
        if held is None or held.incarnation != news.incarnation or news.state != "suspect":
            self._end_suspicion(node)
        if news.state == "suspect" and node not in self._suspicions:
            self._suspicions[node] = suspicion = Suspicion(news.by, self._port.now, self._bounds())
            self._arm(node, suspicion)
        if before != news.state:
            self._port.happened(
                f"member-{news.state}", node=node, incarnation=news.incarnation, by=news.by, was=before
            )
            for tell in self.on_change:
                tell(node, news.state)

    def _meet(self, node: str) -> None:
        """Tell where `node` is, if that is news."""
        address, before = self.address(node), self._met.get(node, "")
        if address and address != before:
            self._met[node] = address
            self._addresses_changed = True
            self._port.meet(node, address)
            if before:
                self._port.happened("address-changed", node=node, address=address, was=before)

    def _forgotten(self, node: str) -> None:
        self._end_suspicion(node)
        self._news.drop(node)
        if self._met.pop(node, ""):
            self._addresses_changed = True
            self._port.meet(node, "")
        self._port.happened("member-forgotten", node=node)
        for tell in self.on_change:
            tell(node, "")

    # Suspicion ------------------------------------------------------------------------------------------

    def _bounds(self) -> Bounds:
        return bounds(len(self._up) + 1, self._options.probe_nanos)

    def _arm(self, node: str, suspicion: Suspicion) -> None:
        if suspicion.timer:
            self._port.cancel(suspicion.timer)
        suspicion.due = max(suspicion.due, self._port.now)
        wait = suspicion.due - self._port.now
        suspicion.timer = self._port.after(wait, lambda: self._convict(node, suspicion))

    def _convict(self, node: str, suspicion: Suspicion) -> None:
        """It has had its time to defend itself."""
        if self.health.overslept(suspicion.due, self._port.now):
            suspicion.due = self._port.now + self._bounds().least
            self._arm(node, suspicion)
            return
        held = self.members.get(node)
        if held is not None:
            self._believe(replace(held, state="dead", by=self._port.name))

    def _end_suspicion(self, node: str) -> None:
        suspicion = self._suspicions.pop(node, None)
        if suspicion is not None:
            self._port.cancel(suspicion.timer)

    # Dissemination --------------------------------------------------------------------------------------

    def _everything(self, wants_back: bool) -> Sync:
        return Sync((self.me, *self.members.all()), wants_back)

    def _spread(self, news: News) -> None:
        self._news.add(news)
        if not self._rumor_timer:
            self._rumor_timer = self._port.after(
                self._options.probe_nanos // RUMORS_PER_PERIOD, self._tell_rumors
            )

    def _tell_rumors(self) -> None:
        self._rumor_timer = 0
        others = list(self._up)
        for peer in self._port.rng.sample(others, min(RUMOR_PEERS, len(others))):
            news = self._news_for(peer)
            if news:
                self._port.send(peer, Rumor(news))
        if self._news and others:
            self._rumor_timer = self._port.after(
                self._options.probe_nanos // RUMORS_PER_PERIOD, self._tell_rumors
            )

    def _news_for(self, peer: str) -> tuple[News, ...]:
        """What goes along with a message to `peer`: first, if it is not held to be alive, that (Lifeguard's
        buddy system), so that it can refute it, and who says so."""
        held = self.members.get(peer)
        members = len(self._up) + 1
        if held is None or held.state == "alive":
            return self._news.take(NEWS_MAX, members)
        rest = self._news.take(NEWS_MAX - 2, members)
        return (held, self.me, *[news for news in rest if news.node not in (peer, self.me.node)])
