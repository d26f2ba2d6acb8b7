"""The harshest driver of `store.core`: all that is under way floats in a soup, and any of it may happen next.
Messages are delivered in any order, twice, or never; timers fire and disks complete when they like; nodes
crash with what is not yet durable. Nothing of harness/sim is used, so each checks the other.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from msgspec.structs import replace

from checkers.history import Op
from store.core.machine import (
    Effect,
    FromClient,
    FromPeer,
    Input,
    Persist,
    Persisted,
    Reply,
    Send,
    SetTimer,
    Started,
    TimerFired,
)
from store.core.messages import Body, Cas, Failed, Found, Get, Put, Record, Request, Response
from store.core.node import Node
from store.core.options import QUIET
from store.core.ownership.layout import first_layout

MS = 1_000_000


class Kept(dict[str, Record]):
    """A disk: what is durable."""

    def keep(self, persist: Persist) -> None:
        if persist.record is None:
            self.pop(persist.key, None)
        else:
            self[persist.key] = persist.record

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        return sorted(key for key in self if key.startswith(prefix) and key > after)[:limit]


class Soup:
    def __init__(
        self,
        seed: int,
        nodes: int = 3,
        replication: int = 3,
        loss: float = 0.02,
        twice: float = 0.02,
        haste: float = 0.02,
        diligence: int = 2,
    ) -> None:
        """`haste`: how often a timer fires although there is something else to do. `diligence`: how many
        chances a disk has to do something, to one of each message."""
        self.rng = random.Random(seed)
        self.names = tuple([f"n{i}" for i in range(1, nodes + 1)])
        self.first = first_layout(self.names, replication, vnodes=8)
        self.loss, self.twice, self.haste, self.diligence = loss, twice, haste, diligence
        self.now = 0
        self.disks = {name: Kept() for name in self.names}
        self.boots = dict.fromkeys(self.names, 0)
        self.nodes: dict[str, Node] = {}
        self.unsynced: dict[str, list[Persist]] = {}
        self.messages: list[tuple[str, str, Send]] = []
        self.timers: list[tuple[int, str, int, int]] = []
        self.waiting: dict[int, Callable[[Response | None], None]] = {}
        self.served_by: dict[int, str] = {}
        self.skew = {name: self.rng.randrange(3_600_000) * MS for name in self.names}
        for name in self.names:
            self.start(name)

    def start(self, name: str) -> None:
        self.boots[name] += 1
        self.nodes[name] = Node(
            name,
            self.first,
            self.boots[name],
            self.disks[name],
            random.Random(f"{name}/{self.boots[name]}"),
            QUIET,
        )
        self.unsynced[name] = []
        self.step(name, Started())

    def crash(self, name: str) -> None:
        """What was not synced is lost, but for a prefix of it; clients see their connections break."""
        survivors = self.rng.randint(0, len(self.unsynced[name]))
        for persist in self.unsynced[name][:survivors]:
            self.disks[name].keep(persist)
        self.timers = [timer for timer in self.timers if timer[1] != name]
        for client in [client for client, node in self.served_by.items() if node == name]:
            self.finish(client, None)
        self.start(name)

    def ask(self, client: int, name: str, body: Body, done: Callable[[Response | None], None]) -> None:
        self.waiting[client], self.served_by[client] = done, name
        self.step(name, FromClient(client, Request(client, 200, body)))

    def finish(self, client: int, response: Response | None) -> None:
        self.served_by.pop(client, None)
        done = self.waiting.pop(client, None)
        if done is not None:
            done(response)

    def step(self, name: str, event: Input) -> None:
        for effect in self.nodes[name].step(event, self.now, self.now + self.skew[name]):
            self._carry_out(name, effect)

    def _carry_out(self, name: str, effect: Effect) -> None:
        match effect:
            case Send():
                if self.rng.random() >= self.loss:
                    self.messages.append((name, effect.peer, effect))
            case Persist():
                self.unsynced[name].append(effect)
            case SetTimer(token, at):
                self.timers.append((at, name, token, self.boots[name]))
            case Reply(client, response):
                self.finish(client, response)

    def stir(self) -> bool:
        """Let one random thing happen; False when nothing is under way."""
        dirty = [name for name in self.names if self.unsynced[name]]
        choices = len(self.messages) + (self.diligence if self.messages else 1) * len(dirty)
        if self.timers and (not choices or self.rng.random() < self.haste):
            self._fire()
        elif not choices:
            return False
        elif (at := self.rng.randrange(choices)) < len(self.messages):
            self._deliver(at)
        else:
            self._sync(self.rng.choice(dirty))
        return True

    def _fire(self) -> None:
        self.timers.sort()
        at, name, token, _ = self.timers.pop(0)
        self.now = max(self.now, at)
        self.step(name, TimerFired(token))

    def _deliver(self, at: int) -> None:
        self.now += self.rng.randrange(MS)
        if self.rng.random() < self.twice:
            source, peer, send = self.messages[at]
        else:
            self.messages[at], self.messages[-1] = self.messages[-1], self.messages[at]
            source, peer, send = self.messages.pop()
        self.step(peer, FromPeer(source, send.message))

    def _sync(self, name: str) -> None:
        persists = self.unsynced[name]
        count = self.rng.randint(1, len(persists))
        for persist in persists[:count]:
            self.disks[name].keep(persist)
        self.unsynced[name] = persists[count:]
        self.step(name, Persisted(persists[count - 1].token))


class Clients:
    """Clients that read, write unique values and cas on one key, and the history of what they saw."""

    def __init__(self, soup: Soup, level: str, key: str = "k", cas: bool = True) -> None:
        self.soup, self.level, self.key, self.cas = soup, level, key, cas
        self.history: list[Op] = []
        self.counts = {"ok": 0, "fail": 0, "info": 0}
        self._next_value = 0
        self._next_client = 0
        self._latest = 0

    def invoke(self, node: str | None = None, f: str | None = None) -> None:
        """One new client asks one operation of one node, both random unless given."""
        soup = self.soup
        self._next_client += 1
        process = self._next_client
        f = f or soup.rng.choice(["read", "write", "cas"] if self.cas else ["read", "write"])
        self._next_value += 1
        value = {"read": None, "write": self._next_value, "cas": [self._latest, self._next_value]}[f]
        op = Op(index=len(self.history), time=soup.now, process=process, f=f, key=self.key, value=value)
        self.history.append(op)
        body: Body
        if f == "read":
            body = Get(self.key, self.level)
        elif f == "write":
            body = Put(self.key, b"%d" % self._next_value, self.level)
        else:
            body = Cas(self.key, b"%d" % self._latest, b"%d" % self._next_value, self.level)
        node = node or soup.rng.choice(soup.names)
        soup.ask(process, node, body, lambda response: self._completed(op, response))

    def _completed(self, op: Op, response: Response | None) -> None:
        kind, value = "ok", op.value
        if response is None or (isinstance(response, Failed) and response.code in ("timeout", "contended")):
            kind = "info"
        elif isinstance(response, Failed):
            kind = "fail"
        elif isinstance(response, Found):
            value = None if response.value is None else int(response.value)
            self._latest = value or self._latest
        self.counts[kind] += 1
        self.history.append(
            replace(op, index=len(self.history), time=self.soup.now, type=kind, value=value)  # type: ignore[arg-type]
        )


def brew(seed: int, level: str, operations: int, crashes: float = 0.05, **soup_options: float) -> Clients:
    """A whole run: operations, a few at a time, while everything else happens in any order."""
    soup = Soup(seed, **soup_options)  # type: ignore[arg-type]
    clients = Clients(soup, level, cas=level == "linearizable")
    for _ in range(operations):
        clients.invoke()
        for _ in range(soup.rng.choice((0, 0, 5, 60))):
            soup.stir()
        if soup.rng.random() < crashes:
            victims = soup.names if soup.rng.random() < 0.25 else [soup.rng.choice(soup.names)]
            for name in victims:
                soup.crash(name)
    while soup.stir():
        pass
    return clients
