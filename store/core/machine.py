"""The seam between a node's protocols and whatever carries them out: values in, values out.

`Node.step(input, now, wall) -> list[Effect]`: `now` is monotonic time and `wall` the node's own wall clock,
both in nanoseconds. A driver feeds inputs and carries effects out *in order*; there are two:
`store/runtime.py` (trio, sockets, disk) and `harness/sim/` (virtual time). What a driver must hold to:

- `Send` may be lost, delayed, duplicated or reordered. `Reply` goes to the client that asked, or nowhere.
- `Persist`s are made durable in the order in which they were issued; `Persisted(token)` says that all up to
  and including `token` are durable. Until then a crash may lose them. The node itself withholds whatever
  must not be said before (so "persist before send" is visible in the output, and a test can crash between).
- `SetTimer(token, at)` brings `TimerFired(token)` once, at or after `at` on the monotonic clock.
- After a crash a node is made anew with the durable records and a higher `boot` number.
"""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from store.core.messages import PeerMessage, Record, Request, Response


class FromPeer(Struct, frozen=True, gc=False):
    peer: str
    message: PeerMessage


class FromClient(Struct, frozen=True, gc=False):
    """`client` names a connection, chosen by the driver and never used again."""

    client: int
    request: Request


class TimerFired(Struct, frozen=True, gc=False):
    token: int


class Persisted(Struct, frozen=True, gc=False):
    token: int


Input = FromPeer | FromClient | TimerFired | Persisted


class Send(Struct, frozen=True, gc=False):
    """To another node, never to itself."""

    peer: str
    message: PeerMessage


class Reply(Struct, frozen=True, gc=False):
    client: int
    response: Response


class SetTimer(Struct, frozen=True, gc=False):
    token: int
    at: int


class Persist(Struct, frozen=True, gc=False):
    """Keep `record` under `key` (a storage key: family prefix and user's key), replacing what is there."""

    token: int
    key: str
    record: Record


Effect = Send | Reply | SetTimer | Persist


class Records(Protocol):
    """What the node may read of its own storage, at once. It need not yet show what is being persisted."""

    def get(self, key: str) -> Record | None: ...
