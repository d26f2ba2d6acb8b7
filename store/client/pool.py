"""A client of a whole cluster: finds for each key a node that owns it, keeps connections to the nodes that it
has asked, and asks another node where the first certainly did nothing (or where nothing was to be changed).

One background task keeps what is known of the cluster fresh; see `routing.py` for whom it makes ask.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

import trio

from store.client.connection import Client
from store.client.errors import BadRequest, Lost, NotSent, StoreError, refusal
from store.client.operations import TIMEOUT_S, Operations
from store.client.routing import READS, Routing, may_ask_again
from store.config import Address, parse_address
from store.core.messages import Body, Failed, Locate, Located, Response
from store.core.ownership.layout import Placement
from store.net.security import PLAIN, Security

CONNECT_S: Final = 1.0
CONNECTIONS_MAX: Final = 4
"""To one node."""
BUSY: Final = 32
"""So many requests in progress on each connection to a node make another one worth while."""
LOCATE_EVERY_S: Final = 10.0
LOCATE_S: Final = 2.0
LOCATE_PAUSE_S: Final = 0.2
"""Between two looks at the layout, however often nodes do not serve."""


class _Node(Operations):
    """The connections to one node."""

    def __init__(self, address: Address, cluster: str, security: Security) -> None:
        self._address = address
        self._cluster = cluster
        self._security = security
        self._open: list[Client] = []
        self._opening = 0
        self._news = trio.Event()
        self._closed = False

    async def request(self, body: Body, timeout_s: float = TIMEOUT_S) -> Response:
        deadline = trio.current_time() + timeout_s
        client = await self._client(min(timeout_s, CONNECT_S))
        return await client.request(body, max(deadline - trio.current_time(), 0.001))

    def _misled(self, body: Body, response: Response) -> StoreError:
        text = f"node at {self._address} answered a {type(body).__name__} by {type(response).__name__}"
        return Lost(text)

    async def close(self) -> None:
        """For good."""
        self._closed = True
        for client in self._open:
            await client.close()

    async def rest(self) -> None:
        """Close the connections on which nobody waits."""
        for client in self._open:
            if not client.waiting:
                await client.close()

    async def _client(self, timeout_s: float) -> Client:
        """The connection with the least to do, or a new one if that is busy and it can be made; if enough are
        being made, one of those."""
        deadline = trio.current_time() + timeout_s
        while True:
            self._open = [client for client in self._open if not client.over]
            best = min(self._open, key=lambda client: client.waiting, default=None)
            if best is not None and (best.waiting < BUSY or len(self._open) >= CONNECTIONS_MAX):
                return best
            if len(self._open) + self._opening < CONNECTIONS_MAX:
                try:
                    return await self._opened(max(deadline - trio.current_time(), 0.001))
                except NotSent:
                    if best is None:
                        raise
                    return best
            with trio.move_on_at(deadline) as waiting:
                await self._news.wait()
            if waiting.cancelled_caught:
                if best is not None:
                    return best
                raise NotSent(f"node at {self._address} cannot be reached within {timeout_s:g} s")

    async def _opened(self, timeout_s: float) -> Client:
        self._opening += 1
        try:
            opened = await Client.open(*self._address, self._cluster, timeout_s, self._security)
        finally:
            self._opening -= 1
            self._news.set()
            self._news = trio.Event()
        self._open.append(opened)
        if self._closed:
            await opened.close()
        return opened


class Cluster(Operations):
    """Make it by `open_cluster`. Its methods may be called by any number of tasks at a time."""

    def __init__(self, seeds: Iterable[Address], cluster: str, security: Security = PLAIN) -> None:
        self._routing = Routing(seeds)
        self._cluster = cluster
        self._security = security
        self._pool: dict[Address, _Node] = {}
        self._nudge = trio.Event()

    @property
    def placement(self) -> Placement | None:
        """Who owns what, as far as it is known here."""
        return self._routing.placement

    @property
    def nodes(self) -> dict[str, Address]:
        """Where nodes listen, by name, as far as it is known here."""
        return dict(self._routing.nodes)

    def at(self, address: Address) -> Operations:
        """One node, and no other: it alone is asked, once."""
        node = self._pool.get(address)
        if node is None:
            node = self._pool[address] = _Node(address, self._cluster, self._security)
        return node

    async def request(self, body: Body, timeout_s: float = TIMEOUT_S) -> Response:
        """The response, a `Failed` included; raises `NotSent`, `BadRequest` among them, or `Lost`. Nodes are
        asked one after the other, each once, as long as that is safe and there is time."""
        deadline = trio.current_time() + timeout_s
        candidates = self._routing.candidates(getattr(body, "key", None), trio.current_time())
        while True:
            address = candidates.pop(0)
            left_s = max(deadline - trio.current_time(), 0.001)
            if candidates and isinstance(body, READS):
                left_s /= 2  # the others may need the rest
            try:
                response = await self._attempt(address, body, left_s)
            except StoreError as error:
                if not self._again(body, error, candidates, deadline):
                    raise
                continue
            if not isinstance(response, Failed) or not self._again(
                body, refusal(response), candidates, deadline
            ):
                return response

    async def locate_now(self, timeout_s: float) -> None:
        """Learn what the cluster looks like."""
        found = await self.request(Locate(), timeout_s)
        if isinstance(found, Located):
            self._routing.located(found)
            await self._leave_strangers()

    async def keep_located(self) -> None:
        """Learn it again from time to time, and soon after a node did not serve; for ever."""
        while True:
            with trio.move_on_after(LOCATE_EVERY_S):
                await self._nudge.wait()
            self._nudge = trio.Event()
            with suppress(StoreError):
                await self.locate_now(LOCATE_S)
            await trio.sleep(LOCATE_PAUSE_S)

    async def close(self) -> None:
        """Whoever still waits gets `Lost`."""
        for node in self._pool.values():
            await node.close()

    def _again(self, body: Body, error: StoreError, others: list[Address], deadline: float) -> bool:
        """Whether to ask the next node."""
        again = may_ask_again(body, error)
        if again:
            self._nudge.set()
        return again and bool(others) and trio.current_time() < deadline

    async def _attempt(self, address: Address, body: Body, timeout_s: float) -> Response:
        try:
            response = await self.at(address).request(body, timeout_s)
        except BadRequest:
            raise
        except (NotSent, Lost):
            self._routing.failed(address, trio.current_time())
            raise
        self._routing.served(address)
        return response

    async def _leave_strangers(self) -> None:
        """Close what leads to nodes that have no part any more, once all is answered there."""
        known = {*self._routing.nodes.values(), *self._routing.seeds}
        for address, node in self._pool.items():
            if address not in known:
                await node.rest()

    def _misled(self, body: Body, response: Response) -> StoreError:
        return Lost(f"a {type(body).__name__} was answered by {type(response).__name__}")


@asynccontextmanager
async def open_cluster(
    seeds: Iterable[Address | str],
    cluster: str,
    timeout_s: float = TIMEOUT_S,
    security: Security = PLAIN,
) -> AsyncIterator[Cluster]:
    """A `Cluster` for the block. `seeds`: nodes to begin with (HOST:PORT), one that is up is enough; raises
    `NotSent` if none is, and `ValueError` for what is no address."""
    addresses = [parse_address(seed) if isinstance(seed, str) else seed for seed in seeds]
    if not addresses:
        raise ValueError("a cluster needs at least one address to begin with")
    opened = Cluster(addresses, cluster, security)
    try:
        await opened.locate_now(timeout_s)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(opened.keep_located)
            yield opened
            nursery.cancel_scope.cancel()
    except BaseExceptionGroup as group:  # the nursery's; whoever uses us wants what was raised in the block
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
    finally:
        await opened.close()
