"""Drives a `Node` with trio, real sockets and a real disk, as store/core/machine.py demands of a driver.

No task per request: the task that reads a connection steps the node through all that came at once, carries
out the effects, and then flushes each connection concerned one time. Nothing of the protocols is here.
"""

from __future__ import annotations

import heapq
import logging
import math
import random
import socket
import time
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import trio
from msgspec.structs import replace

from store.client.operations import usual_level
from store.config import NodeConfig
from store.core.machine import (
    ClientGone,
    DamagedRecord,
    DiskFull,
    Effect,
    FromClient,
    Happened,
    Input,
    Meet,
    Persist,
    Persisted,
    Reply,
    Send,
    SendTo,
    SetTimer,
    Started,
    TimerFired,
)
from store.core.messages import Body, Failed, PeerMessage, Report, Request, Response, coordinators_ms
from store.core.node import Node
from store.core.ownership.layout import first_layout
from store.logs import event, node_event
from store.net.address import Address
from store.net.channel import Channel
from store.net.handshake import PLAIN, Security
from store.net.link import Knock, Link
from store.net.neighbours import Neighbours
from store.net.server import Server
from store.net.wire import WireError, frame
from store.persistence.disk import Batch, Disk
from store.persistence.storage import Damaged, Storage, StorageError
from store.web.http import HttpServer
from store.web.routes import Routes

if TYPE_CHECKING:
    from store.web.metrics import Metrics

_log = logging.getLogger(__name__)


class Runtime:
    """One running node, listening on `listener`, and for HTTP on `http`.

    `run` returns when the disk failed: then `disk_error` is set, and nothing that is not durable has been
    acknowledged. Otherwise it runs until it is cancelled.
    """

    def __init__(
        self,
        config: NodeConfig,
        storage: Storage,
        listener: socket.socket,
        security: Security = PLAIN,
        http: socket.socket | None = None,
    ) -> None:
        rng = random.Random()
        first = None
        if not config.join:
            first = first_layout(config.nodes, config.replication, config.vnodes, config.buckets)
        self.listens = Address(*listener.getsockname()[:2])
        self.listens_http = None if http is None else Address(*http.getsockname()[:2])
        self.address = config.advertise or self.listens
        options = replace(config.options, address=str(self.address))
        self.disk_error: StorageError | None = None
        self._data = config.data
        try:
            self._node = Node(config.name, first, storage.next_boot(), storage, rng, options)
        except DamagedRecord as damage:
            raise self._damaged(damage) from None
        self._storage = storage
        self._neighbours = Neighbours(config, self.address, security, self._layout, rng)
        self._server = Server(
            listener, config.cluster, config.name, security, self._layout, self._neighbours, self._feed
        )
        self._cluster = config.cluster
        self._inquiries: dict[int, _Inquiry] = {}
        self._timers: list[tuple[int, int]] = []
        self._alarm = trio.CancelScope()
        self._metrics: Metrics | None = None
        self._http: HttpServer | None = None
        if http is not None:
            from store.web.metrics import Metrics, exposition  # takes a while; most nodes do without

            self._metrics = Metrics()
            routes = Routes(self.ask, partial(exposition, self._metrics), self._usual_level)
            self._http = HttpServer(http, routes, security.token, security.context)

    async def run(self) -> None:
        self._disk = Disk(self._storage, self._durable, self._disk_full, self._disk_failed)
        try:
            async with trio.open_nursery() as self._nursery:
                self._neighbours.start(self._nursery)
                self._feed([Started()])
                self._nursery.start_soon(self._fire_timers)
                self._nursery.start_soon(self._server.run)
                if self._http is not None:
                    self._nursery.start_soon(self._http.run)
        finally:
            self._disk.close()

    async def ask(self, body: Body, timeout_s: float) -> Response:
        """As a client of this node, from within it."""
        number = self._server.next_client()
        inquiry = self._inquiries[number] = _Inquiry()
        try:
            self._feed([FromClient(number, Request(1, coordinators_ms(timeout_s), body))])
            with trio.move_on_after(timeout_s):
                await inquiry.answered.wait()
        finally:
            del self._inquiries[number]
            self._feed([ClientGone(number)])
        return inquiry.response

    def _usual_level(self, key: str) -> str:
        return usual_level(self._node.placement, key)

    def _layout(self) -> tuple[int, str]:
        place = self._node.placement
        return (0, "") if place is None else (place.epoch, place.digest)

    # The node: inputs in, effects out ----------------------------------------------------------------

    def _feed(self, events: Sequence[Input]) -> None:
        """Step the node through `events` and carry out what it asks for."""
        if self.disk_error is not None or not events:
            return
        step, now, wall = self._node.step, time.monotonic_ns(), time.time_ns()
        if self._metrics is not None:
            self._measure(self._metrics, events, now)
        effects: list[Effect] = []
        try:
            for fed in events:
                effects += step(fed, now, wall)
        except StorageError as error:
            self._disk_failed(error)
        except DamagedRecord as damage:
            self._disk_failed(self._damaged(damage))
        else:
            self._carry_out(effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        batch: Batch = []
        last_token = 0
        written: dict[Link | Channel | Knock, None] = {}
        links = self._neighbours.links
        encoded: tuple[PeerMessage | None, bytes] = (None, b"")
        for effect in effects:
            match effect:
                case Send(peer, message):
                    link = links.get(peer)
                    if message is not encoded[0]:  # the same question often goes to several peers
                        encoded = (message, self._encoded(message))
                    if link is None or not encoded[1]:
                        self._neighbours.lost()
                    else:
                        link.outbox.push(encoded[1])
                        written[link] = None
                case Persist(last_token, key, record):
                    batch.append((key, record))
                case Reply(client, response):
                    channel = self._answer(client, response)
                    if channel is not None:
                        written[channel] = None
                case SetTimer(token, at):
                    self._set_timer(token, at)
                case Happened(kind):
                    node_event(_log, effect)
                    if self._metrics is not None:
                        self._metrics.happened(kind)
                case Meet(peer, address):
                    self._neighbours.meet(peer, address)
                case SendTo(address, message):
                    knock = self._neighbours.knock(address, self._encoded(message))
                    if knock is not None:
                        written[knock] = None
        if batch:
            self._disk.submit(last_token, batch)
        for target in written:
            self._flush(target)

    def _encoded(self, message: PeerMessage) -> bytes:
        """As a frame; empty if it can have none, which is as if it were lost."""
        try:
            return frame(message)
        except WireError as error:
            event(_log, logging.WARNING, "message-refused", reason=str(error))
            return b""

    def _answer(self, client: int, response: Response) -> Channel | None:
        """Give `client` its answer; the channel to be flushed, if there is one."""
        if isinstance(response, Report):
            response = replace(response, status=response.status | self._seen())
        if self._metrics is not None:
            self._metrics.answered(client, response, time.monotonic_ns())
        inquiry = self._inquiries.get(client)
        if inquiry is not None:
            inquiry.response = response
            inquiry.answered.set()
            return None
        return self._server.answer(client, response)

    def _flush(self, target: Link | Channel | Knock) -> None:
        channel = target if isinstance(target, Channel) else target.channel
        if channel is not None and not channel.draining and not channel.flush():
            self._nursery.start_soon(channel.drain)

    def _seen(self) -> dict[str, Any]:
        """What only the driver knows of the node's status."""
        return {
            "cluster": self._cluster,
            "address": str(self.address),
            "links_up": self._neighbours.up,
            "messages_dropped": self._neighbours.dropped,
            "connections": self._server.connections,
            "disk_commits": self._disk.commits,
            "disk_records": self._disk.records,
            "disk_waiting": self._disk.waiting,
        }

    def _measure(self, metrics: Metrics, events: Sequence[Input], now: int) -> None:
        for fed in events:
            if isinstance(fed, FromClient):
                metrics.asked(fed.client, fed.request, now)
            elif isinstance(fed, ClientGone):
                metrics.gone(fed.client)

    # The disk ----------------------------------------------------------------------------------------

    def _durable(self, token: int) -> None:
        self._feed([Persisted(token)])

    def _disk_full(self, full: bool) -> None:
        self._feed([DiskFull(full)])

    def _damaged(self, damage: DamagedRecord) -> Damaged:
        """The core mends what has copies; this it cannot do without."""
        return Damaged(f"data directory {self._data}: is damaged: {damage}")

    def _disk_failed(self, error: StorageError) -> None:
        self.disk_error = self.disk_error or error
        self._nursery.cancel_scope.cancel()

    # Timers ------------------------------------------------------------------------------------------

    def _set_timer(self, token: int, at: int) -> None:
        heapq.heappush(self._timers, (at, token))
        if self._timers[0] == (at, token):
            self._alarm.deadline = _trio_time(at)

    async def _fire_timers(self) -> None:
        while True:
            with trio.CancelScope() as self._alarm:
                self._alarm.deadline = _trio_time(self._timers[0][0]) if self._timers else math.inf
                await trio.sleep_forever()
            now = time.monotonic_ns()
            due = []
            while self._timers and self._timers[0][0] <= now:
                due.append(TimerFired(heapq.heappop(self._timers)[1]))
            self._feed(due)


class _Inquiry:
    """What somebody within this process waits for."""

    def __init__(self) -> None:
        self.answered = trio.Event()
        self.response: Response = Failed(1, "timeout", "the node did not answer in time")


def _trio_time(at: int) -> float:
    """The monotonic time `at` (ns) on trio's clock."""
    return trio.current_time() + (at - time.monotonic_ns()) / 1e9
