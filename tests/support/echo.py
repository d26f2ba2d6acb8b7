"""A node that is as simple as can be and still uses every effect: it keeps values for itself, tells its peers
of each change, and needs no answer from them. `heard` is what its process was told, over all its boots."""

from __future__ import annotations

import random

from store.core.machine import (
    Effect,
    FromClient,
    FromPeer,
    Input,
    Persist,
    Persisted,
    Records,
    Reply,
    Send,
    SetTimer,
    TimerFired,
)
from store.core.messages import Cell, Done, Failed, Found, Get, Put, Report, Status, Store
from store.core.ring import Ring

TIMER_NS = 10_000_000


class Echo:
    """Puts: kept, told to peers, and answered when durable. Gets: the durable value. A put also sets a timer
    for 10 ms later."""

    def __init__(
        self, heard: list[Input], name: str, ring: Ring, boot: int, records: Records, rng: random.Random
    ) -> None:
        self.heard = heard
        self.boot = boot
        self._name = name
        self._peers = [peer for peer in ring.nodes if peer != name]
        self._records = records
        self._tokens = 0
        self._waiting: dict[int, Reply] = {}

    def step(self, event: Input, now: int, wall: int) -> list[Effect]:
        self.heard.append(event)
        match event:
            case FromClient(client, request):
                return self._serve(client, request.id, request.body, now, wall)
            case Persisted(token):
                return [self._waiting.pop(waiting) for waiting in sorted(self._waiting) if waiting <= token]
            case FromPeer() | TimerFired():
                return []

    def _serve(self, client: int, number: int, body: object, now: int, wall: int) -> list[Effect]:
        match body:
            case Status():
                return [Reply(client, Report(number, {"boot": self.boot, "wall_ms": wall // 1_000_000}))]
            case Get(key=key):
                record = self._records.get(key)
                return [Reply(client, Found(number, record.value if isinstance(record, Cell) else None))]
            case Put(key=key, value=value):
                self._tokens += 1
                cell = Cell((self._tokens, 0, self._name), value)
                self._waiting[self._tokens] = Reply(client, Done(number))
                sends = [Send(peer, Store(self._tokens, key, cell)) for peer in self._peers]
                return [Persist(self._tokens, key, cell), *sends, SetTimer(self._tokens, now + TIMER_NS)]
        return [Reply(client, Failed(number, "bad-request", "an echo knows only get and put"))]
