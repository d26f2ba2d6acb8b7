"""The seam between a node's protocols and whatever carries them out: values in, values out.

`Node.step(input, now, wall) -> list[Effect]`: `now` is monotonic time and `wall` the node's own wall clock,
both in nanoseconds. A driver feeds inputs and carries effects out *in order*; there are two:
`store/runtime.py` (trio, sockets, disk) and `harness/sim/` (virtual time). What a driver must hold to:

- The first input is `Started`, once.
- `Send` may be lost, delayed, duplicated or reordered. `Reply` goes to the client that asked, or nowhere.
- `Persist`s are made durable in the order in which they were issued; `Persisted(token)` says that all up to
  and including `token` are durable. Until then a crash may lose them. The node itself withholds whatever
  must not be said before (so "persist before send" is visible in the output, and a test can crash between).
- `SetTimer(token, at)` brings `TimerFired(token)` once, at or after `at` on the monotonic clock.
  The node sets only the next of its timers there (`timers.py`), so few are ever under way.
- After a crash a node is made anew with the durable records and a higher `boot` number.
- `DiskFull(True)` says that what is persisted may not be kept for want of room: what was issued and is not
  yet confirmed is tried again by the driver, in order, until there is room (`DiskFull(False)`).
"""

from __future__ import annotations

from typing import Any, Protocol

from msgspec import Struct

from store.core.messages import PeerMessage, Record, Request, Response


class Started(Struct, frozen=True, gc=False):
    """The node may begin to speak by itself."""


class FromPeer(Struct, frozen=True, gc=False):
    peer: str
    message: PeerMessage


class FromClient(Struct, frozen=True, gc=False):
    """`client` names a connection, chosen by the driver and never used again."""

    client: int
    request: Request


class ClientGone(Struct, frozen=True, gc=False):
    """The connection is over: nobody waits any more for what it asked."""

    client: int


class TimerFired(Struct, frozen=True, gc=False):
    token: int


class Persisted(Struct, frozen=True, gc=False):
    token: int


class DiskFull(Struct, frozen=True, gc=False):
    full: bool


Input = Started | FromPeer | FromClient | ClientGone | TimerFired | Persisted | DiskFull


class Send(Struct, frozen=True, gc=False):
    """To another node, never to itself. The driver knows where it is from `Meet`; if not, it is lost."""

    peer: str
    message: PeerMessage


class SendTo(Struct, frozen=True, gc=False):
    """To whatever node listens at `address`: how a node that knows nobody finds the others."""

    address: str
    message: PeerMessage


class Meet(Struct, frozen=True, gc=False):
    """From now on `peer` is to be found at `address` (HOST:PORT); empty: it is gone for good."""

    peer: str
    address: str


class Reply(Struct, frozen=True, gc=False):
    client: int
    response: Response


class SetTimer(Struct, frozen=True, gc=False):
    token: int
    at: int


class Persist(Struct, frozen=True, gc=False):
    """Keep `record` under `key` (a storage key: family prefix and user's key), replacing what is there; None
    removes it."""

    token: int
    key: str
    record: Record | None


class Happened(Struct, frozen=True, gc=False):
    """Something that an operator may want to know, for logs and counters; `fields` are values of JSON."""

    kind: str
    fields: dict[str, Any]


Effect = Send | SendTo | Meet | Reply | SetTimer | Persist | Happened


class DamagedRecord(Exception):
    """What is stored under `key` is not what was written there."""

    def __init__(self, key: str) -> None:
        super().__init__(f"the record under {key!r} is damaged")
        self.key = key


class Records(Protocol):
    """What the node may read of its own storage, at once. It need not yet show what is being persisted."""

    def get(self, key: str) -> Record | None:
        """Raises `DamagedRecord`."""
        ...

    def scan(self, prefix: str, after: str, limit: int) -> list[str]:
        """The first `limit` storage keys, in order of their UTF-8 bytes, that begin with `prefix` and are
        greater than `after`."""
        ...
