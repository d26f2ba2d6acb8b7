"""What a node gives its parts: its name, its time, its disk, a way to the others."""

from __future__ import annotations

import random
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from store.core.messages import PeerMessage, Stamp

if TYPE_CHECKING:
    from store.core.journal import Journal
    from store.core.ownership.layout import Placement

T = TypeVar("T")


class Port(Protocol):
    """`now`: monotonic, `wall`: the node's own wall clock, both in ns, of the input that is being handled."""

    name: str
    birth: int
    """Names this life of the data directory."""
    boot: int
    """Greater at each start of the node."""
    rng: random.Random
    journal: Journal
    now: int
    wall: int

    @property
    def placement(self) -> Placement | None:
        """Who owns what, as this node knows it durably; None: it knows no layout yet."""
        ...

    def alive(self, peer: str) -> bool:
        """Whether `peer` is believed to be alive (suspected nodes still are); itself always."""
        ...

    def send(self, peer: str, message: PeerMessage) -> None:
        """To any node, itself included (handled later in the same step)."""
        ...

    def send_to(self, address: str, message: PeerMessage) -> None: ...

    def meet(self, peer: str, address: str) -> None: ...

    def after(self, nanos: int, act: Callable[[], None]) -> int:
        """Call `act` once, at least `nanos` from now; the token is for `cancel`."""
        ...

    def cancel(self, token: int) -> None:
        """The token may be of a timer that has fired already."""
        ...

    def run(self, procedure: Generator[Any, Any, T], timeout_nanos: int, then: Callable[[T], None]) -> None:
        """Run a procedure that is no client's; `then` gets what it returns."""
        ...

    def next_rid(self) -> int:
        """Unique over this node's restarts."""
        ...

    def stamp(self) -> Stamp: ...

    def happened(self, kind: str, /, **fields: Any) -> None:
        """For logs and counters: `kind` is a few words with hyphens, `fields` values of JSON."""
        ...
