"""A node that is as simple as can be and still uses every effect: it keeps values for itself, tells its peers
of each change, and needs no answer from them. `heard` is what its process was told, over all its boots."""

from __future__ import annotations

import random

from store.core.machine import (
    ClientGone,
    DiskFull,
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
    Started,
    TimerFired,
)
from store.core.messages import Cell, Done, Failed, Found, Get, Layout, Put, Report, Status, Store
from store.core.options import Options

TIMER_NS = 10_000_000
EPOCH = 1


class Echo:
    """Puts: kept, told to peers, and answered when durable. Gets: the durable value. A put also sets a timer
    for 10 ms later."""

    def __init__(
        self,
        heard: list[Input],
        name: str,
        first: Layout | None,
        boot: int,
        records: Records,
        rng: random.Random,
        options: Options,
    ) -> None:
        assert first is not None
        self.heard = heard
        self.boot = boot
        self._name = name
        self._peers = [owner.name for owner in first.owners if owner.name != name]
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
            case Started() | FromPeer() | ClientGone() | TimerFired() | DiskFull():
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
                sends = [Send(peer, Store(self._tokens, EPOCH, key, cell)) for peer in self._peers]
                return [Persist(self._tokens, key, cell), *sends, SetTimer(self._tokens, now + TIMER_NS)]
        return [Reply(client, Failed(number, "bad-request", "an echo knows only get and put"))]
