"""What has been handed to the disk and is not durable yet, laid over what is.

Nothing that tells of a record leaves the node before that record is durable: an answer is given to
`when_durable` together with the key that it tells of, and waits there for the disk if it must.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from store.core.machine import Effect, Persist, Records
from store.core.messages import PeerMessage, Record

Route = Callable[[str, PeerMessage], None]


class Journal:
    """`emit` takes effects; `route` takes a message for a node, itself included."""

    def __init__(self, records: Records, emit: Callable[[Effect], None], route: Route) -> None:
        self._records = records
        self._emit = emit
        self._route = route
        self._issued = 0
        self._pending: dict[str, tuple[int, Record]] = {}
        self._waiting: deque[tuple[int, str, PeerMessage]] = deque()
        self._keys: deque[tuple[int, str]] = deque()

    def get(self, key: str) -> Record | None:
        """The newest record, durable or not."""
        pending = self._pending.get(key)
        return self._records.get(key) if pending is None else pending[1]

    def put(self, key: str, record: Record) -> None:
        self._issued += 1
        self._pending[key] = (self._issued, record)
        self._keys.append((self._issued, key))
        self._emit(Persist(self._issued, key, record))

    def when_durable(self, key: str, peer: str, message: PeerMessage) -> None:
        """Send `message`, which tells of what is now under `key`, as soon as that is durable."""
        pending = self._pending.get(key)
        if pending is None:
            self._route(peer, message)
        else:
            # Behind everything issued so far, so that the queue stays in the order of its tokens.
            self._waiting.append((self._issued, peer, message))

    def persisted(self, token: int) -> None:
        """All up to and including `token` are durable."""
        while self._keys and self._keys[0][0] <= token:
            issued, key = self._keys.popleft()
            if self._pending[key][0] == issued:
                del self._pending[key]
        while self._waiting and self._waiting[0][0] <= token:
            _, peer, message = self._waiting.popleft()
            self._route(peer, message)
