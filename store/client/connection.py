"""A client of one node: many requests at a time on one connection, answers matched by number.

No background task: of the callers that wait, one reads the connection for all, and hands that on when its own
answer has come. So a client needs no nursery, and a single caller waits for its answer with no detour.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, Self

import trio

from store.client.errors import BadRequest, Lost, NotSent, StoreError
from store.client.operations import TIMEOUT_S, Operations
from store.config import Address
from store.core.messages import Body, Failed, HelloClient, Request, Response, coordinators_ms
from store.net.channel import Channel, Outbox, dial
from store.net.security import PLAIN, Security, Unproven
from store.net.wire import (
    REFUSED,
    FrameDecoder,
    WireError,
    check_body,
    decode_request,
    decode_response,
    frame,
)

UNACKED_MAX_MS: Final = 10_000
"""TCP gives a connection up after so long without acknowledgement. Left to itself it would wait longer and
longer between attempts, and a node would seem cut off for minutes after it is not."""


Dial = Callable[[str, int], Awaitable[socket.socket]]
"""Makes a socket connected to a host and port; raises OSError with one plain sentence."""


class _Waiter:
    """A caller that waits: `wake` comes with its response, with an error, or to make it the reader."""

    __slots__ = ("response", "wake")

    def __init__(self) -> None:
        self.wake = trio.Event()
        self.response: Response | None = None


class Client(Operations):
    """A connection to one node; make it by `Client.open` or `connect`."""

    def __init__(self, channel: Channel, where: str) -> None:
        self._channel = channel
        self._where = where
        self._decoder = FrameDecoder()
        self._waiting: dict[int, _Waiter] = {}
        self._reading = False
        self._last_id = REFUSED
        self._served = False
        self._over: StoreError | None = None

    @classmethod
    async def open(
        cls,
        host: str,
        port: int,
        cluster: str,
        timeout_s: float = TIMEOUT_S,
        security: Security = PLAIN,
        dial: Dial = dial,
    ) -> Self:
        """Raises `NotSent` if there is no connection within `timeout_s`."""
        where = f"node at {Address(host, port)}"
        hello = HelloClient(cluster)
        try:
            frame(hello)
        except WireError as error:
            raise BadRequest(str(error)) from None
        try:
            with trio.fail_after(timeout_s):
                sock = await dial(host, port)
                if hasattr(socket, "TCP_USER_TIMEOUT"):
                    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKED_MAX_MS)
                channel = await security.client_channel(sock, Outbox(), hello)
        except trio.TooSlowError:
            raise NotSent(f"{where} cannot be reached within {timeout_s:g} s") from None
        except OSError as error:
            raise NotSent(f"{where} cannot be reached: {error}") from None
        except (Unproven, WireError) as error:
            raise NotSent(f"{where} cannot be trusted: {error}") from None
        return cls(channel, where)

    async def close(self) -> None:
        """Whoever still waits gets `Lost`."""
        self._end(Lost(f"{self._where}: the connection was closed here"))

    async def request(self, body: Body, timeout_s: float = TIMEOUT_S) -> Response:
        """The node's response, a `Failed` included; raises `NotSent`, `BadRequest` among them, or `Lost`."""
        if self._over is None and not self._waiting and self._channel.ended():
            self._end(Lost(f"{self._where}: the connection ended: {self._channel.broken}"))
        if self._over is not None:
            raise NotSent(str(self._over))
        self._last_id = number = self._last_id + 1
        try:
            check_body(body)
            sent = frame(Request(number, coordinators_ms(timeout_s), body))
            decode_request(sent[4:])  # what a node would refuse would cost all that wait their connection
        except WireError as error:
            raise BadRequest(str(error)) from None
        waiter = self._waiting[number] = _Waiter()
        try:
            with trio.move_on_after(timeout_s):
                self._channel.outbox.push(sent)
                if not self._channel.draining and self._channel.flush():
                    await self._answered(waiter)
                else:
                    # Read while sending: the node may take no more before it is rid of its answers.
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._channel.drain)
                        await self._answered(waiter)
                        nursery.cancel_scope.cancel()
        finally:
            del self._waiting[number]
            if not self._reading:
                self._appoint_reader()
        if waiter.response is not None:
            return waiter.response
        if self._over is not None:
            raise type(self._over)(str(self._over))
        raise Lost(f"{self._where} did not answer within {timeout_s:g} s")

    @property
    def waiting(self) -> int:
        """How many requests have no answer yet."""
        return len(self._waiting)

    @property
    def over(self) -> bool:
        """Whether the connection takes no more requests."""
        return self._over is not None

    def _misled(self, body: Body, response: Response) -> StoreError:
        text = f"{self._where} answered a {type(body).__name__} by {type(response).__name__}"
        return self._end(Lost(text))

    async def _answered(self, waiter: _Waiter) -> None:
        """Wait until `waiter` has its response or the connection is over."""
        while waiter.response is None and self._over is None:
            if self._reading:
                await waiter.wake.wait()
                waiter.wake = trio.Event()
            else:
                await self._read_until(waiter)

    async def _read_until(self, waiter: _Waiter) -> None:
        """The same, as the one that reads for all."""
        self._reading = True
        try:
            while waiter.response is None and self._over is None:
                self._decoder.feed(await self._channel.receive())
                self._dispatch()
        finally:
            self._reading = False

    def _appoint_reader(self) -> None:
        for waiter in self._waiting.values():
            if waiter.response is None:
                waiter.wake.set()
                return

    def _dispatch(self) -> None:
        try:
            for payload in self._decoder:
                response = decode_response(payload)
                if response.id == REFUSED and isinstance(response, Failed) and not self._served:
                    self._end(NotSent(f"{self._where} refused the connection: {response.text}"))
                    return
                if not REFUSED < response.id <= self._last_id:
                    raise WireError(f"an answer to request {response.id}, which was not sent")
                self._served = True
                waiter = self._waiting.get(response.id)
                if waiter is not None:
                    waiter.response = response
                    waiter.wake.set()
        except WireError as error:
            self._end(Lost(f"{self._where} does not follow the protocol: {error}"))
        if self._channel.broken is not None:
            self._end(Lost(f"{self._where}: the connection ended: {self._channel.broken}"))

    def _end(self, error: StoreError) -> StoreError:
        """No more requests on this connection; all that wait get `error`."""
        if self._over is None:
            self._over = error
            self._channel.close()
            for waiter in self._waiting.values():
                waiter.wake.set()
        return error


@asynccontextmanager
async def connect(
    host: str, port: int, cluster: str, timeout_s: float = TIMEOUT_S, security: Security = PLAIN
) -> AsyncIterator[Client]:
    """A `Client` for the block."""
    client = await Client.open(host, port, cluster, timeout_s, security)
    try:
        yield client
    finally:
        await client.close()
