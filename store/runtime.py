"""Drives a `Node` with trio, real sockets and a real disk, as store/core/machine.py demands of a driver.

No task per request: the task that reads a connection steps the node through all that came at once, carries
out the effects, and then flushes each connection concerned one time. Nothing of the protocols is here.
"""

from __future__ import annotations

import heapq
import math
import random
import socket
import time
from collections.abc import Sequence

import trio
from msgspec.structs import replace

from store.channel import Channel
from store.config import NodeConfig
from store.core.machine import Effect, Input, Persist, Persisted, Reply, Send, SetTimer, TimerFired
from store.core.messages import HelloPeer, PeerMessage, Report, Response
from store.core.node import Node
from store.core.ring import Ring
from store.disk import Batch, Disk
from store.link import Link
from store.server import Server
from store.storage import Storage, StorageError
from store.wire import frame


class Runtime:
    """One running node, listening on `listener`.

    `run` returns when the disk failed: then `disk_error` is set, and nothing that is not durable has been
    acknowledged. Otherwise it runs until it is cancelled.
    """

    def __init__(self, config: NodeConfig, storage: Storage, listener: socket.socket) -> None:
        ring = Ring(config.nodes, config.replication, config.vnodes)
        rng = random.Random()
        hello = frame(HelloPeer(config.cluster, config.name, ring.digest))
        self.disk_error: StorageError | None = None
        self._node = Node(config.name, ring, storage.next_boot(), storage, rng)
        self._storage = storage
        self._links = {peer: Link(peer, at, hello, rng) for peer, at in config.peers.items()}
        self._server = Server(listener, config.cluster, ring.digest, config.peers, self._feed)
        self._timers: list[tuple[int, int]] = []
        self._alarm = trio.CancelScope()

    async def run(self) -> None:
        self._disk = Disk(self._storage, self._durable, self._disk_failed)
        try:
            async with trio.open_nursery() as self._nursery:
                for link in self._links.values():
                    self._nursery.start_soon(link.run)
                self._nursery.start_soon(self._fire_timers)
                self._nursery.start_soon(self._server.run)
        finally:
            self._disk.close()

    # The node: inputs in, effects out ----------------------------------------------------------------

    def _feed(self, events: Sequence[Input]) -> None:
        """Step the node through `events` and carry out what it asks for."""
        if self.disk_error is not None or not events:
            return
        step, now, wall = self._node.step, time.monotonic_ns(), time.time_ns()
        effects: list[Effect] = []
        try:
            for event in events:
                effects += step(event, now, wall)
        except StorageError as error:
            self._disk_failed(error)
        else:
            self._carry_out(effects)

    def _carry_out(self, effects: list[Effect]) -> None:
        batch: Batch = []
        last_token = 0
        written: dict[Link | Channel, None] = {}
        encoded: tuple[PeerMessage | None, bytes] = (None, b"")
        for effect in effects:
            match effect:
                case Send(peer, message):
                    if message is not encoded[0]:  # the same question often goes to several peers
                        encoded = (message, frame(message))
                    link = self._links[peer]
                    link.outbox.push(encoded[1])
                    written[link] = None
                case Persist(last_token, key, record):
                    batch.append((key, record))
                case Reply(client, response):
                    channel = self._server.answer(client, self._completed(response))
                    if channel is not None:
                        written[channel] = None
                case SetTimer(token, at):
                    self._set_timer(token, at)
        if batch:
            self._disk.submit(last_token, batch)
        for target in written:
            self._flush(target)

    def _flush(self, target: Link | Channel) -> None:
        channel = target.channel if isinstance(target, Link) else target
        if channel is not None and not channel.draining and not channel.flush():
            self._nursery.start_soon(channel.drain)

    def _completed(self, response: Response) -> Response:
        """`response`, with what only the driver knows if it is a status."""
        if not isinstance(response, Report):
            return response
        seen: dict[str, str | int | list[str]] = {
            "links_up": [peer for peer, link in self._links.items() if link.channel is not None],
            "messages_dropped": sum(link.outbox.dropped for link in self._links.values()),
            "connections": self._server.connections,
            "disk_commits": self._disk.commits,
            "disk_records": self._disk.records,
        }
        return replace(response, status=response.status | seen)

    # The disk ----------------------------------------------------------------------------------------

    def _durable(self, token: int) -> None:
        self._feed([Persisted(token)])

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


def _trio_time(at: int) -> float:
    """The monotonic time `at` (ns) on trio's clock."""
    return trio.current_time() + (at - time.monotonic_ns()) / 1e9
