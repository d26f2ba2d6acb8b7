"""The soup, with nodes that come and go: they join, leave, take each other's place, lie down for a while, and
lose their data, while clients ask and everything else happens in any order."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from checkers.history import Op
from checkers.linear import Linearizable
from checkers.models import CasRegister
from checkers.verdict import Status
from store.core.machine import Effect, FromClient, FromPeer, Input, Send, SendTo, Started
from store.core.messages import (
    Admin,
    Body,
    Done,
    Failed,
    Found,
    Get,
    Layout,
    Put,
    Request,
    Response,
    WantLayout,
)
from store.core.node import Node
from store.core.options import QUIET, SECOND, Options
from store.core.ownership.layout import Placement
from tests.support.soup import MS, Clients, Kept, Soup

MakeNode = Callable[[str, Layout | None, int, Any, random.Random, Options], Node]
ADMIN_MS = 20_000


class Owners(Soup):
    """Nodes that are added later know three addresses and no layout. Addresses are names."""

    def __init__(self, seed: int, make: MakeNode = Node, **options: Any) -> None:
        self.make = make
        self.lying: set[str] = set()
        self.founders: set[str] = set()
        self.strangers: set[str] = set()
        self.options = QUIET
        super().__init__(seed, **options)
        self.next_request = 1 << 40

    def start(self, name: str) -> None:
        self.founders = self.founders or set(self.names)
        self.boots[name] += 1
        first = self.first if name in self.founders else None
        rng = random.Random(f"{name}/{self.boots[name]}/{self.skew[name]}")
        seeds = () if name in self.strangers else ("n1", "n2", "n3")
        options = replace(self.options, seeds=seeds, address=name)
        self.unsynced[name] = []
        self.nodes[name] = self.make(name, first, self.boots[name], self.disks[name], rng, options)
        self.step(name, Started())

    def add(self, name: str, stranger: bool = False) -> None:
        """A new machine. A stranger knows nobody, so it cannot ask for a part."""
        if stranger:
            self.strangers.add(name)
        self.names = (*self.names, name)
        self.disks[name], self.boots[name] = Kept(), 0
        self.skew[name] = self.rng.randrange(3_600_000) * MS
        self.start(name)

    def lie_down(self, name: str) -> None:
        """Crash, and stay away until `get_up`."""
        self.crash(name)
        self.lying.add(name)
        self.unsynced[name] = []
        self.timers = [timer for timer in self.timers if timer[1] != name]

    def get_up(self, name: str) -> None:
        self.lying.discard(name)
        self.start(name)

    def wipe(self, name: str) -> None:
        """The disk is lost, and the node starts on an empty one. Its boot number counts on, as a number of
        the operating system would."""
        self.disks[name].clear()
        self.unsynced[name] = []
        self.crash(name)

    def step(self, name: str, event: Input) -> None:
        if name not in self.lying and name in self.nodes:
            super().step(name, event)

    def _carry_out(self, name: str, effect: Effect) -> None:
        if isinstance(effect, SendTo):
            effect = Send(effect.address, effect.message)
        if isinstance(effect, Send) and effect.peer not in self.names:
            return
        super()._carry_out(name, effect)

    def ask(self, client: int, name: str, body: Body, done: Callable[[Response | None], None]) -> None:
        if name in self.lying:
            done(Failed(client, "unavailable", "nobody is there"))
        else:
            super().ask(client, name, body, done)

    def wish(self, name: str, action: str, done: Callable[[Response | None], None], **arguments: str) -> None:
        """An operator's, of the node `name`."""
        self.next_request += 1
        client = self.next_request
        if name in self.lying:
            done(None)
            return
        self.waiting[client], self.served_by[client] = done, name
        self.step(name, FromClient(client, Request(client, ADMIN_MS, Admin(action, arguments))))

    def wished(self, name: str, action: str, **arguments: str) -> Response:
        """What came of it."""
        answers: list[Response | None] = []
        self.wish(name, action, answers.append, **arguments)
        self.until(lambda: bool(answers))
        assert answers[0] is not None
        return answers[0]

    def asked(self, name: str, body: Body) -> Response:
        answers: list[Response | None] = []
        self.next_request += 1
        self.ask(self.next_request, name, body, answers.append)
        self.until(lambda: bool(answers))
        assert answers[0] is not None
        return answers[0]

    def until(self, there: Callable[[], bool], within_s: float = 120.0) -> None:
        """Let things happen until `there`."""
        end = self.now + int(within_s * SECOND)
        while not there():
            assert self.now < end, f"not within {within_s:g} s"
            assert self.stir(), "nothing is under way"

    def place(self, name: str) -> Placement:
        place = self.nodes[name].placement
        assert place is not None
        return place

    def newest(self) -> Placement:
        return max((node.placement for node in self.nodes.values() if node.placement), key=lambda p: p.epoch)

    def birth(self, name: str) -> str:
        return str(self.nodes[name].birth)

    def serving(self) -> list[str]:
        return [
            name for name in self.names if name not in self.lying and self.nodes[name].status().get("serves")
        ]


def calm(nodes: int = 3, seed: int = 1, **options: Any) -> Owners:
    """Nothing is lost, and all serve."""
    soup = Owners(seed, nodes=nodes, loss=0.0, twice=0.0, **options)
    soup.until(lambda: soup.serving() == list(soup.names))
    return soup


KEYS = ("a", "b", "c", "d")


class Voyage:
    """One run: clients on a few registers, and writes at quorum of keys that are written once, while the
    cluster's members change and nodes crash. Afterwards all are up, and everything is read again."""

    def __init__(
        self, seed: int, make: MakeNode = Node, nodes: int = 4, replication: int = 3, **options: Any
    ):
        self.soup = Owners(seed, make, nodes=nodes, replication=replication, **options)
        self.rng = self.soup.rng
        self.clients = [Clients(self.soup, "linearizable", key) for key in KEYS]
        for at, clients in enumerate(self.clients):
            clients._next_client = at << 20
        self.written: dict[str, bytes] = {}
        self.wishes: list[tuple[str, Response | None]] = []
        self.lost: list[str] = []
        self._writes = 0

    def run(
        self,
        operations: int = 60,
        *,
        crashes: float = 0.03,
        blackouts: float = 0.01,
        wipes: float = 0.0,
        moves: float = 0.06,
    ) -> None:
        """Chances of each, with every operation. In a blackout all crash at once."""
        soup, rng = self.soup, self.rng
        soup.until(lambda: len(soup.serving()) == len(soup.names))
        for _ in range(operations):
            rng.choice(self.clients).invoke()
            self._write_once()
            for _ in range(rng.choice((0, 5, 40, 200))):
                soup.stir()
            chance = rng.random()
            if chance < crashes:
                soup.crash(rng.choice([name for name in soup.names if name not in soup.lying]))
            elif chance < crashes + wipes and self._bears_a_loss():
                soup.wipe(rng.choice(soup.newest().names))
            if rng.random() < blackouts:
                for name in soup.names:
                    if name not in soup.lying:
                        soup.crash(name)
            if rng.random() < moves:
                self._move()
            if rng.random() < 0.05:
                self._lie_or_rise()
        self.land()

    def _write_once(self) -> None:
        self._writes += 1
        key, value = f"w{self._writes}", b"%d" % self._writes

        def done(response: Response | None) -> None:
            if isinstance(response, Done):
                self.written[key] = value

        client = (9 << 20) + self._writes
        self.soup.ask(client, self.rng.choice(self.soup.names), Put(key, value, "quorum"), done)

    def _move(self) -> None:
        soup, rng = self.soup, self.rng
        at = rng.choice(soup.names)
        owners = [member.name for member in soup.newest().layout.owners]
        kind = rng.choice(("join", "leave", "replace", "again"))
        note = self._noted(kind)
        if kind == "join" and len(soup.names) < 8:
            soup.add(f"n{len(soup.names) + 1}")
        elif kind == "leave":
            soup.wish(at, "leave", note, node=rng.choice(owners))
        elif kind == "replace" and len(soup.names) < 8:
            name = f"n{len(soup.names) + 1}"
            soup.add(name, stranger=rng.random() < 0.7)
            soup.wish(at, "replace", note, node=rng.choice(owners), by=name, birth=soup.birth(name))
        elif kind == "again":
            gone = [name for name in soup.names if name not in owners and name not in soup.lying]
            if gone:
                name = rng.choice(gone)
                soup.wish(at, "join", note, node=name, birth=soup.birth(name))

    def _noted(self, kind: str) -> Callable[[Response | None], None]:
        return lambda response: self.wishes.append((kind, response))

    def _bears_a_loss(self) -> bool:
        """Two lost at once would be a majority of some key's replicas, as is one of two."""
        newest, serving = self.soup.newest(), self.soup.serving()
        fewest = min(
            len(members) for members in (newest.layout.owners, newest.layout.next or newest.layout.owners)
        )
        return fewest >= 3 and all(name in serving for name in newest.names)

    def _lie_or_rise(self) -> None:
        soup = self.soup
        if soup.lying and self.rng.random() < 0.7:
            soup.get_up(self.rng.choice(sorted(soup.lying)))
        elif not soup.lying:
            soup.lie_down(self.rng.choice(soup.names))

    def land(self) -> None:
        """All come back, nothing is lost any more, every change comes to its end; then all is read."""
        soup = self.soup
        for name in sorted(soup.lying):
            soup.get_up(name)
        soup.loss = soup.twice = 0.0
        end = soup.now + 600 * SECOND
        while not self._settled():
            assert soup.now < end, "it comes to no rest"
            soup.now += SECOND
            self._gossip()
            while not self._settled() and soup.stir():
                assert soup.now < end, "it comes to no rest"
        for clients in self.clients:
            op = Op(
                index=len(clients.history),
                time=soup.now,
                process=1 << 30,
                f="read",
                key=clients.key,
                value=None,
            )
            clients.history.append(op)
            found = self._read(clients.key, "linearizable")
            value = None if found is None else int(found)
            clients.history.append(
                replace(op, index=len(clients.history), time=soup.now, type="ok", value=value)
            )
        self.lost = [key for key, value in self.written.items() if self._read(key, "quorum") != value]

    def _gossip(self) -> None:
        """What SWIM's pings do: who is behind is told."""
        for name, node in self.soup.nodes.items():
            for other in self.soup.nodes.values():
                if node.placement is not None and node is not other:
                    self.soup.step(name, FromPeer(other.name, WantLayout(_epoch(other))))

    def _settled(self) -> bool:
        """No change is under way, and whoever has a part, or asks for one by itself, has it."""
        soup, newest = self.soup, self.soup.newest()
        at_rest = all(
            node._epochs.standing in ("serves", "left")
            and (name not in newest.names or soup.place(name).epoch == newest.epoch)
            for name, node in soup.nodes.items()
            if name in newest.names or name not in soup.strangers
        )
        return at_rest and not newest.joint and not soup.waiting

    def _read(self, key: str, level: str) -> bytes | None:
        owners = self.soup.newest().names
        for _ in range(50):
            response = self.soup.asked(self.rng.choice(owners), Get(key, level))
            if isinstance(response, Found):
                return response.value
        raise AssertionError(f"{key} cannot be read: {response}")


def is_linearizable(clients: Clients) -> bool:
    return Linearizable(CasRegister()).check(clients.history).status is Status.VALID


def _epoch(node: Node) -> int:
    return 0 if node.placement is None else node.placement.epoch
