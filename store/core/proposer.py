"""What a node remembers as a proposer (store/core/caspaxos.py): its ballots, and what it has promises for."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from store.core.messages import Ballot, Register
from store.core.port import Port
from store.core.procedure import Group

READY_MAX = 4096
READY_BYTES_MAX = 16 << 10
"""A proposer remembers so many keys, and no values above that size."""


class Quorums(NamedTuple):
    """Who must agree on a register, and by which epoch they are asked."""

    epoch: int
    groups: tuple[Group, ...]


class Ready(NamedTuple):
    """Such a quorum has promised `ballot`, and what it has accepted last is `state`."""

    quorums: Quorums
    ballot: Ballot
    state: Register


class Proposer:
    """The counter from which this node's ballots come: above every ballot that it has heard of. And the keys
    that it may propose for without asking first."""

    def __init__(self, port: Port, heard: Callable[[], int]) -> None:
        self._port = port
        self._counter = 0
        self._heard = heard
        self._ready: dict[str, Ready] = {}

    def ballot(self) -> Ballot:
        self._counter = max(self._counter, self._heard()) + 1
        return self._counter, self._port.name

    def observe(self, ballot: Ballot) -> None:
        self._counter = max(self._counter, ballot[0])

    def take_ready(self, key: str, quorums: Quorums) -> Ready | None:
        """Once only: a ballot must not be used for two states."""
        ready = self._ready.pop(key, None)
        return ready if ready is not None and ready.quorums == quorums else None

    def keep_ready(self, key: str, ready: Ready) -> None:
        if len(ready.state.value or b"") <= READY_BYTES_MAX:
            self._ready[key] = ready
            if len(self._ready) > READY_MAX:
                del self._ready[next(iter(self._ready))]
