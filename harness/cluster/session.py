"""A session of a cluster of real nodes: the store's client, in the words of `harness/cluster/base.py`."""

from __future__ import annotations

from typing import Final, Self

from harness.cluster.base import Lost, NotSent
from store import client
from store.client.connection import Dial
from store.core.messages import Body, Response
from store.net.channel import dial
from store.net.security import PLAIN, Security

CONNECT_LIMIT_S: Final = 1.0


class StoreSession:
    """One connection to one node; implements `Session`."""

    def __init__(self, connection: client.Client) -> None:
        self._connection = connection

    @classmethod
    async def open(
        cls,
        address: tuple[str, int],
        cluster: str,
        security: Security = PLAIN,
        dial: Dial = dial,
        limit_s: float = CONNECT_LIMIT_S,
    ) -> Self:
        """Raises `NotSent` when the node cannot be reached within `limit_s`."""
        host, port = address
        try:
            return cls(await client.Client.open(host, port, cluster, limit_s, security, dial))
        except client.NotSent as error:
            raise NotSent(str(error)) from None

    async def request(self, body: Body, timeout_s: float) -> Response:
        try:
            return await self._connection.request(body, timeout_s)
        except client.NotSent as error:
            raise NotSent(str(error)) from None
        except client.Lost as error:
            await self.close()
            raise Lost(str(error)) from None

    async def close(self) -> None:
        await self._connection.close()
