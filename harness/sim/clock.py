"""A node's wall clock: true time since an arbitrary date, plus how far the clock has been pushed or has
drifted.

The monotonic clock is the world's own, on every node, and no fault touches it.
"""

from __future__ import annotations

from typing import Final

from harness.sim.world import MS, SECOND

EPOCH_NS: Final = 1_700_000_000 * SECOND
"""What every wall clock shows when the world begins (2023-11-14 UTC)."""
PPM_MAX: Final = 1_000_000


class WallClock:
    def __init__(self) -> None:
        self._base = EPOCH_NS
        self._ppm = 0
        self._drifts_since = 0

    def read(self, now: int) -> int:
        """Nanoseconds since 1970, never below 0, at the world's time `now`."""
        if self._ppm:
            return max(0, self._base + now + self._drifted(now))
        return max(0, self._base + now)

    def offset_ms(self, now: int) -> float:
        """How far ahead of true time it reads."""
        return (self.read(now) - EPOCH_NS - now) / MS

    def bump(self, offset_ms: int) -> None:
        self._base += offset_ms * MS

    def drift(self, ppm: int, now: int) -> None:
        """From `now` on gain so many microseconds each second (lose them, if negative); what it has gained
        before stays."""
        if not -PPM_MAX < ppm <= PPM_MAX:
            raise ValueError(f"a clock drifts by more than {-PPM_MAX} and up to {PPM_MAX} ppm, not by {ppm}")
        self._base += self._drifted(now)
        self._ppm, self._drifts_since = ppm, now

    def reset(self) -> None:
        """Right again, and no drift."""
        self._base = EPOCH_NS
        self._ppm = 0

    def _drifted(self, now: int) -> int:
        return (now - self._drifts_since) * self._ppm // 1_000_000
