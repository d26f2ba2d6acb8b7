"""A node's wall clock: true time since an arbitrary date, plus how far the clock has been pushed.

Leaves out drift. The monotonic clock is the world's own, on every node, and no fault touches it.
"""

from __future__ import annotations

from typing import Final

from harness.sim.world import MS, SECOND

EPOCH_NS: Final = 1_700_000_000 * SECOND
"""What every wall clock shows when the world begins (2023-11-14 UTC)."""


class WallClock:
    def __init__(self) -> None:
        self._base = EPOCH_NS

    def read(self, now: int) -> int:
        """Nanoseconds since 1970, never below 0, at the world's time `now`."""
        return max(0, self._base + now)

    def offset_ms(self, now: int) -> float:
        """How far ahead of true time it reads."""
        return (self.read(now) - EPOCH_NS - now) / MS

    def bump(self, offset_ms: int) -> None:
        self._base += offset_ms * MS

    def reset(self) -> None:
        self._base = EPOCH_NS
