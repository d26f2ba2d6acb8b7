"""Whether all replicas hold the same, as far as this node has compared with them, and what it took.

An episode of divergence begins when another replica cannot be compared with, or something differs. It ends
with the first round of comparisons with all others in which nothing differs, and then `converged` says what
was mended since it began, and how long it took from the moment at which everybody could be reached again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from store.core.port import Port


class Outcome(Struct):
    """What a comparison came to. `here` and `there` count keys that were changed by it, at this node and at
    the other; `siblings` those in which concurrent values met; `equal`: at its end nothing differed;
    `silent`: the other did not answer to the end."""

    here: int = 0
    there: int = 0
    siblings: int = 0
    differed: bool = False
    equal: bool = False
    silent: bool = False


class Convergence:
    """`delivered` counts the hints that this node has ever delivered."""

    def __init__(self, port: Port, delivered: Callable[[], int]) -> None:
        self._port = port
        self._delivered = delivered
        self._missing: dict[str, None] = {}
        self._calm: dict[str, None] = {}
        self._equal_at: dict[str, int] = {}
        self._began_at: int | None = None
        self._whole_at = 0
        self._delivered_before = 0
        self._since = Outcome()
        self._peers: tuple[str, ...] | None = None
        self.total = Outcome()

    def expect(self, peers: Iterable[str] | None) -> None:
        """These are all that there is to compare with; None: this node has no part in the layout."""
        self._peers = None if peers is None else tuple(peers)
        for known in (self._missing, self._calm, self._equal_at):
            for gone in [peer for peer in known if peer not in (self._peers or ())]:
                del known[gone]

    def missed(self, peer: str) -> None:
        """It is dead, or does not answer."""
        self._missing[peer] = None
        self._differs(peer)

    def compared(self, peer: str, outcome: Outcome) -> None:
        if not outcome.silent and peer in self._missing:
            del self._missing[peer]
            self._whole_at = self._port.now
        for count in (self._since, self.total):
            count.here += outcome.here
            count.there += outcome.there
            count.siblings += outcome.siblings
        if outcome.equal:
            self._equal_at[peer] = self._port.now
        if outcome.silent:
            self.missed(peer)
        elif outcome.differed:
            self._differs(peer)
        elif outcome.equal:
            self._calm[peer] = None
            self._converged()

    def _differs(self, peer: str) -> None:
        self._calm.clear()
        if self._began_at is None:
            self._began_at = self._whole_at = self._port.now
            self._delivered_before = self._delivered()
            self._port.happened("diverged", peer=peer, missing=list(self._missing))

    def _converged(self) -> None:
        if any(peer not in self._calm for peer in self._peers or ()):
            return
        if self._began_at is not None:
            self._began_at = None
            self._port.happened(
                "converged",
                keys_mended_here=self._since.here,
                keys_mended_there=self._since.there,
                siblings_merged=self._since.siblings,
                hints_delivered=self._delivered() - self._delivered_before,
                divergent_keys=0,
                took_ms=(self._port.now - self._whole_at) // 1_000_000,
            )
        self._since = Outcome()
        self._calm.clear()

    def status(self) -> dict[str, Any]:
        now = self._port.now
        return {
            "converged": self._began_at is None
            and self._peers is not None
            and all(peer in self._equal_at for peer in self._peers),
            "diverged_for_ms": 0 if self._began_at is None else (now - self._began_at) // 1_000_000,
            "not_compared": list(self._missing),
            "equal_ms_ago": {peer: (now - at) // 1_000_000 for peer, at in self._equal_at.items()},
            "keys_mended_here": self.total.here,
            "keys_mended_there": self.total.there,
            "siblings_merged": self.total.siblings,
        }
