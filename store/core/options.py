"""How a node's own protocols are paced. Times are nanoseconds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from msgspec import Struct

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000


class Options(Struct, frozen=True, kw_only=True):
    """`address` is where this node listens, as the others shall know it; `peers` where others do that are
    known from the start; `seeds` addresses of nodes whose names are not known."""

    address: str = ""
    peers: Mapping[str, str] = {}
    seeds: tuple[str, ...] = ()

    probe_nanos: int = 1 * SECOND
    """SWIM's protocol period; 0: no gossip."""
    compare_nanos: int = 10 * SECOND
    """How often a node compares what it keeps with another replica; 0: never."""
    scrub_nanos: int = 24 * 3600 * SECOND
    """How long a whole scrub takes; 0: never."""
    tombstone_grace_nanos: int = 24 * 3600 * SECOND
    """How long a tombstone is kept at least."""
    hint_life_nanos: int = 3 * 3600 * SECOND
    """Shorter than the tombstones' grace, as a hint must not bring back what was deleted."""
    hints_max: int = 100_000
    hints_bytes_max: int = 1 << 30
    repair_bytes_per_second: int = 8 << 20
    """How much a node moves to mend what differs and to deliver hints, each."""
    transfer_per_second: int = 2_000
    """Records that a new owner pulls."""


QUIET: Final = Options(probe_nanos=0, compare_nanos=0, scrub_nanos=0)
"""Nothing goes on by itself: for tests of one protocol."""
