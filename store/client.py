"""A client of one node: many requests at a time on one connection, answers matched by number.

No background task: of the callers that wait, one reads the connection for all, and hands that on when its own
answer has come. So a client needs no nursery, and a single caller waits for its answer with no detour.

    StoreError
    +-- NotSent       certainly had no effect
    |   +-- BadRequest    for no node would take it
    +-- Lost          may have had one
    +-- NotServed     the node answered that it did not serve the request, and whether that is definite
        +-- Mismatch  cas: the key held something else
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, Self, TypeVar

import trio

from store.channel import Channel, Outbox, dial
from store.config import Address
from store.core.messages import (
    DEFINITE,
    Body,
    Cas,
    Delete,
    Done,
    Failed,
    Found,
    Get,
    HelloClient,
    Put,
    Report,
    Request,
    Response,
    Status,
    coordinators_ms,
)
from store.wire import REFUSED, FrameDecoder, WireError, check_body, decode_response, frame

TIMEOUT_S: Final = 5.0
LEVEL: Final = "linearizable"

R = TypeVar("R", bound=Response)


class StoreError(Exception):
    """One sentence for whoever asked."""


class NotSent(StoreError):
    """The request was never handed to the node, so it certainly had no effect."""


class BadRequest(NotSent):
    """The key or the value is of a size that no node takes."""


class Lost(StoreError):
    """The request was sent and nothing is known of it: the connection broke, or the time was up."""


class NotServed(StoreError):
    """The node's refusal; `code` is a key of `DEFINITE`, and `definite`: it certainly had no effect."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}" if text else code)
        self.code = code
        self.definite = DEFINITE.get(code, False)


class Mismatch(NotServed):
    """A cas found something else than was expected; nothing was changed."""


class _Waiter:
    """A caller that waits: `wake` comes with its response, with an error, or to make it the reader."""

    __slots__ = ("response", "wake")

    def __init__(self) -> None:
        self.wake = trio.Event()
        self.response: Response | None = None


class Client:
    """A connection to one node; make it by `Client.open` or `connect`."""

    def __init__(self, channel: Channel, where: str) -> None:
        self._channel = channel
        self._where = where
        self._decoder = FrameDecoder()
        self._waiting: dict[int, _Waiter] = {}
        self._reading = False
        self._last_id = REFUSED
        self._over: StoreError | None = None

    @classmethod
    async def open(cls, host: str, port: int, cluster: str, timeout_s: float = TIMEOUT_S) -> Self:
        """Raises `NotSent` if there is no connection within `timeout_s`."""
        where = f"node at {Address(host, port)}"
        try:
            hello = frame(HelloClient(cluster))
        except WireError as error:
            raise BadRequest(str(error)) from None
        try:
            with trio.fail_after(timeout_s):
                sock = await dial(host, port)
        except trio.TooSlowError:
            raise NotSent(f"{where} cannot be reached within {timeout_s:g} s") from None
        except OSError as error:
            raise NotSent(f"{where} cannot be reached: {error}") from None
        channel = Channel(sock, Outbox(), first=hello)
        channel.flush()
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

    async def get(self, key: str, level: str = LEVEL, timeout_s: float = TIMEOUT_S) -> bytes | None:
        """The value, or None if there is none."""
        return (await self._ask(Get(key, level), Found, timeout_s)).value

    async def put(self, key: str, value: bytes, level: str = LEVEL, timeout_s: float = TIMEOUT_S) -> None:
        await self._ask(Put(key, value, level), Done, timeout_s)

    async def cas(
        self, key: str, expect: bytes | None, value: bytes, level: str = LEVEL, timeout_s: float = TIMEOUT_S
    ) -> None:
        """Set `key` if it holds `expect` (None: is absent), else raise `Mismatch`."""
        await self._ask(Cas(key, expect, value, level), Done, timeout_s)

    async def delete(self, key: str, level: str = LEVEL, timeout_s: float = TIMEOUT_S) -> None:
        await self._ask(Delete(key, level), Done, timeout_s)

    async def status(self, timeout_s: float = TIMEOUT_S) -> dict[str, str | int | list[str]]:
        return (await self._ask(Status(), Report, timeout_s)).status

    async def _ask(self, body: Body, expected: type[R], timeout_s: float) -> R:
        response = await self.request(body, timeout_s)
        if isinstance(response, expected):
            return response
        if isinstance(response, Failed):
            kind = Mismatch if response.code == "mismatch" else NotServed
            raise kind(response.code, response.text)
        raise self._end(Lost(f"{self._where} answered a {type(body).__name__} by {type(response).__name__}"))

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
                if response.id == REFUSED and isinstance(response, Failed):
                    self._end(NotSent(f"{self._where} refused the connection: {response.text}"))
                    return
                if response.id > self._last_id:
                    raise WireError(f"an answer to request {response.id}, which was not sent")
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
async def connect(host: str, port: int, cluster: str, timeout_s: float = TIMEOUT_S) -> AsyncIterator[Client]:
    """A `Client` for the block."""
    client = await Client.open(host, port, cluster, timeout_s)
    try:
        yield client
    finally:
        await client.close()
