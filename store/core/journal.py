"""What has been handed to the disk and is not durable yet, laid over what is.

Nothing that tells of a record leaves the node before that record is durable: an answer is given to
`when_durable` together with the key that it tells of, and waits there for the disk if it must.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

from store.core.machine import Effect, Persist, Records
from store.core.messages import (
    Acceptor,
    Cell,
    Count,
    Elements,
    Fields,
    Hint,
    PeerMessage,
    Record,
    Siblings,
)

Route = Callable[[str, PeerMessage], None]

_DOT_BYTES: Final = 32
"""Of an actor and a number."""


class Journal:
    """`emit` takes effects; `route` takes a message for a node, itself included."""

    def __init__(self, records: Records, emit: Callable[[Effect], None], route: Route) -> None:
        self._records = records
        self._emit = emit
        self._route = route
        self._issued = 0
        self._pending: dict[str, tuple[int, Record | None]] = {}
        self._waiting: deque[tuple[int, Callable[[], None]]] = deque()
        self._keys: deque[tuple[int, str, int]] = deque()
        self._bytes = 0

    @property
    def backlog(self) -> int:
        """Records that were issued and are not durable yet."""
        return len(self._keys)

    @property
    def backlog_bytes(self) -> int:
        """About how large their values are."""
        return self._bytes

    def get(self, key: str) -> Record | None:
        """The newest record, durable or not; raises `DamagedRecord`."""
        pending = self._pending.get(key)
        return self._records.get(key) if pending is None else pending[1]

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        """As `Records.scan`, with what is not durable yet."""
        gone = sum(record is None for _, record in self._pending.values())
        held = self._records.scan(prefix, after, limit + gone)
        # What lies beyond the last durable key is not known to be next, unless there are no more of those.
        last = held[-1] if len(held) == limit + gone else None
        found = {key for key in held if key not in self._pending}
        found.update(
            key
            for key, (_, record) in self._pending.items()
            if record is not None and key.startswith(prefix) and key > after and (last is None or key <= last)
        )
        return sorted(found, key=str.encode)[:limit]

    def put(self, key: str, record: Record | None) -> None:
        """None removes it."""
        self._issued += 1
        self._pending[key] = (self._issued, record)
        size = bytes_of(record)
        self._bytes += size
        self._keys.append((self._issued, key, size))
        self._emit(Persist(self._issued, key, record))

    def when_durable(self, key: str, peer: str, message: PeerMessage) -> None:
        """Send `message`, which tells of what is now under `key`, as soon as that is durable."""
        if key in self._pending:
            self._waiting.append((self._issued, lambda: self._route(peer, message)))
        else:
            self._route(peer, message)

    def then(self, act: Callable[[], None]) -> None:
        """Call `act` as soon as all that was put so far is durable."""
        if self._keys:
            self._waiting.append((self._issued, act))
        else:
            act()

    def persisted(self, token: int) -> None:
        """All up to and including `token` are durable."""
        while self._keys and self._keys[0][0] <= token:
            issued, key, size = self._keys.popleft()
            self._bytes -= size
            if self._pending[key][0] == issued:
                del self._pending[key]
        while self._waiting and self._waiting[0][0] <= token:
            self._waiting.popleft()[1]()


def bytes_of(record: Record | None) -> int:
    """About how much room what clients have written takes in it."""
    match record:
        case Acceptor(state=state):
            return 0 if state is None else len(state.value or b"")
        case Cell(value=value):
            return len(value or b"")
        case Hint(datum=datum):
            return bytes_of(datum)
        case Siblings(entries=entries):
            return sum([len(value) for _, _, newest in entries for value in newest])
        case Count(entries=entries):
            return _DOT_BYTES * len(entries)
        case Elements(dots=dots):
            return sum([len(element) + _DOT_BYTES * len(keeps) for element, keeps in dots])
        case Fields(entries=entries):
            return sum([len(field) + len(value or b"") + _DOT_BYTES for field, _, value in entries])
    return 0
