"""A node that is told what makes no sense, though it is well formed: it goes on, and answers."""

from __future__ import annotations

import heapq
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from store.core.machine import (
    ClientGone,
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
from store.core.messages import (
    Bucket,
    Get,
    PeerMessage,
    Put,
    Record,
    Report,
    Request,
    Response,
    Status,
)
from store.core.node import Node
from store.core.options import Options
from store.core.ownership.layout import first_layout
from store.net.wire import WireError, decode_message, decode_request, frame
from tests.support.wellformed import payloads

SECOND = 1_000_000_000
BUCKETS = tuple(Bucket(kind, 1, kind) for kind in ("siblings", "counter", "set", "map"))  # type: ignore[arg-type]


class Alone:
    """One node, whose disk and timers work, and whose messages go nowhere."""

    def __init__(self, *names: str) -> None:
        self.records: dict[str, Record] = {}
        self.now = SECOND
        self.timers: list[tuple[int, int]] = []
        self.answers: dict[tuple[int, int], Response] = {}
        layout = first_layout(names, 1, 4, BUCKETS)
        options = Options(address="127.0.0.1:7000", peers=dict.fromkeys(names, "127.0.0.1:7001"))
        self.node = Node("n1", layout, 1, self, random.Random(7), options)
        self.take(Started())

    def get(self, key: str) -> Record | None:
        return self.records.get(key)

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        found = [key for key in self.records if key.startswith(prefix) and key > after]
        return sorted(found, key=str.encode)[:limit]

    def take(self, event: Input) -> None:
        """Step through it, and through what it brings about by the disk."""
        inputs = [event]
        while inputs:
            token = 0
            for effect in self.node.step(inputs.pop(), self.now, self.now + (1 << 60)):
                match effect:
                    case Persist(token, key, record):
                        if record is None:
                            self.records.pop(key, None)
                        else:
                            self.records[key] = record
                    case SetTimer(number, at):
                        heapq.heappush(self.timers, (at, number))
                    case Reply(client, response):
                        frame(response)
                        self.answers[client, response.id] = response
                    case Send(peer, message):
                        assert peer != "n1"
                        sendable(message)
            if token:
                inputs.append(Persisted(token))

    def pass_time(self, nanos: int, fired_max: int = 300) -> None:
        until = self.now + nanos
        for _ in range(fired_max):
            if not self.timers or self.timers[0][0] > until:
                break
            at, number = heapq.heappop(self.timers)
            self.now = max(self.now, at)
            self.take(TimerFired(number))
        self.now = until


def sendable(message: PeerMessage) -> None:
    """The driver loses a message that has no form; that is no more than a lost message."""
    try:
        frame(message)
    except WireError:
        pass


PEERS = ("n2", "n3", "n9")
said = st.tuples(st.sampled_from(PEERS), payloads(PeerMessage))
asked = payloads(Request)
heard = st.lists(st.one_of(said, asked, st.integers(1, 20)), max_size=12)


@pytest.mark.parametrize("names", [("n1",), ("n1", "n2", "n3")])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(heard=heard)
def test_whatever_is_well_formed_leaves_a_node_that_answers(names: tuple[str, ...], heard: list[Any]) -> None:
    alone = Alone(*names)
    for number, item in enumerate(heard):
        try:
            match item:
                case (peer, payload):
                    alone.take(FromPeer(peer, decode_message(payload)))
                case bytes():
                    alone.take(FromClient(1 + number, decode_request(item)))
                case int():
                    alone.pass_time(item * SECOND // 10)
        except WireError:
            pass
    for number in range(len(heard)):
        alone.take(ClientGone(1 + number))
    alone.take(FromClient(99, Request(1, 1000, Status())))
    alone.take(FromClient(99, Request(2, 1000, Put("fresh", b"v", "one"))))
    alone.take(FromClient(99, Request(3, 1000, Get("fresh", "linearizable"))))
    alone.pass_time(5 * SECOND, 3000)
    assert isinstance(alone.answers[99, 1], Report)
    assert {(99, 2), (99, 3)} <= set(alone.answers)
