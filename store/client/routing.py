"""Which node to ask for a key, and whether to ask another when one did not serve: without I/O.

A key has one coordinator as long as that is well, the first of its preference list: a stable proposer needs
one round trip instead of two, and one clock stamps the key's writes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from store.client.errors import BadRequest, NotSent, NotServed, StoreError
from store.config import Address, parse_address
from store.core.messages import Body, Get, Inspect, Locate, Located, MultiGet, Scan, Status
from store.core.ownership.layout import Placement

AILING_S: Final = 1.0
"""A node that did not serve is asked last for so long; twice as long each time, up to `AILING_MAX_S`."""
AILING_MAX_S: Final = 16.0
ATTEMPTS_MAX: Final = 6

READS: Final = (Get, MultiGet, Scan, Status, Locate, Inspect)
ELSEWHERE: Final = frozenset({"unavailable", "overloaded", "disk-full"})
"""Definite refusals of one node that another may not share."""


def may_ask_again(body: Body, error: StoreError) -> bool:
    """Whether `body` may go to another node after `error`.

    A write that may have had an effect is never asked again, not even a put of the same value: between the
    two, others may have read the first and written something else.
    """
    match error:
        case BadRequest():
            return False
        case NotSent():
            return True
        case NotServed(code=code):
            return code in ELSEWHERE or (not error.definite and isinstance(body, READS))
    return isinstance(body, READS)


class Routing:
    """What is known of the cluster: `seeds` at first, layout and addresses once they are `located`."""

    def __init__(self, seeds: Iterable[Address]) -> None:
        self.seeds = tuple(seeds)
        self.placement: Placement | None = None
        self.nodes: dict[str, Address] = {}
        self._ailing: dict[Address, tuple[float, float]] = {}
        self._turn = 0

    def located(self, found: Located) -> None:
        """Take what a node has told, unless it is older than what is known."""
        if self.placement is None or found.layout.epoch > self.placement.epoch:
            self.placement = Placement(found.layout)
        self.nodes |= _readable(found.addresses)
        self.nodes = {name: at for name, at in self.nodes.items() if name in self.placement.names}

    def candidates(self, key: str | None, now: float) -> list[Address]:
        """Whom to ask, the best first, each once, at most `ATTEMPTS_MAX`: the owners of `key` (None: of no
        key), the other nodes in turn, the seeds; of these, those that are well first."""
        owners: list[Address] = []
        if key is not None and self.placement is not None:
            names = [name for group in self.placement.replicas(key) for name in group]
            owners = [self.nodes[name] for name in names if name in self.nodes]
        others = [*self.nodes.values()] or [*self.seeds]
        at = self._turn % len(others)
        self._turn += 1
        found = dict.fromkeys([*owners, *others[at:], *others[:at], *self.seeds])
        return sorted(found, key=lambda address: self._ails(address, now))[:ATTEMPTS_MAX]

    def served(self, node: Address) -> None:
        if self._ailing:
            self._ailing.pop(node, None)

    def failed(self, node: Address, now: float) -> None:
        """`node` could not be reached, or did not answer."""
        _, length_s = self._ailing.get(node, (0.0, AILING_S / 2))
        length_s = min(2 * length_s, AILING_MAX_S)
        self._ailing[node] = (now + length_s, length_s)

    def _ails(self, node: Address, now: float) -> bool:
        return node in self._ailing and self._ailing[node][0] > now


def _readable(addresses: Mapping[str, str]) -> dict[str, Address]:
    """Those that can be reached; a node whose address is not known is left out."""
    found: dict[str, Address] = {}
    for name, text in addresses.items():
        with suppress(ValueError):
            found[name] = parse_address(text)
    return {name: at for name, at in found.items() if at.port}
