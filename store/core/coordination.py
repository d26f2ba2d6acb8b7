"""What one request's procedure is given."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from store.core.port import Port
from store.core.procedure import Group
from store.core.proposer import Proposer


class Coordination(NamedTuple):
    """The node that coordinates it, and until when."""

    port: Port
    proposer: Proposer
    request_id: int
    deadline: int

    def late(self) -> bool:
        return self.port.now >= self.deadline

    def groups(self, replicas: tuple[tuple[str, ...], ...], need: Callable[[int], int]) -> tuple[Group, ...]:
        """One group for each list of `replicas`; `need` of a list's length must agree."""
        return tuple([Group(peers, need(len(peers))) for peers in replicas])
