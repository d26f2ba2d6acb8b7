"""A client thread's connection to its node on a real cluster, from when it is first needed until there is
doubt about it. Then the thread gets another."""

from __future__ import annotations

from typing import Final

import trio

from harness.client import UNREACHABLE_PAUSE_S
from harness.cluster.base import Cluster, Lost, NotSent, Session
from store.core.messages import Body, Response

CLOSE_S: Final = 1.0
"""How long a session may take to close before it is left to itself."""


class Connection:
    """A `Session` that connects itself. `doubtful`: it must not be used again, only closed."""

    def __init__(self, cluster: Cluster, node: str) -> None:
        self._cluster = cluster
        self._node = node
        self._session: Session | None = None
        self.doubtful = False

    async def request(self, body: Body, timeout_s: float) -> Response:
        """As a session's; `timeout_s` is for connecting and asking together."""
        began = trio.current_time()
        try:
            if self._session is not None:
                try:
                    return await self._session.request(body, timeout_s)
                except NotSent:  # the node has ended it since it was last used
                    await self._drop()
            self._session = await self._connected(timeout_s)
            return await self._session.request(body, began + timeout_s - trio.current_time())
        except Lost:
            self.doubtful = True
            raise
        except NotSent:
            self.doubtful = True
            await trio.sleep_until(began + UNREACHABLE_PAUSE_S)
            raise

    async def close(self) -> None:
        """Whatever happens to the session, this neither raises nor takes long."""
        self.doubtful = True
        await self._drop()

    async def _drop(self) -> None:
        session, self._session = self._session, None
        if session is None:
            return
        with trio.move_on_after(CLOSE_S):
            try:
                await session.close()
            except Exception:
                pass  # we are done with it, and its last request has been answered for

    async def _connected(self, timeout_s: float) -> Session:
        # At least a little is left for the request itself.
        with trio.move_on_after(timeout_s * 0.9):
            return await self._cluster.connect(self._node)
        raise NotSent(f"no connection to {self._node} within {timeout_s * 0.9:g} s")
