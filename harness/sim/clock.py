"""A node's wall clock: true time since an arbitrary date, plus how far the clock has been pushed, has drifted
or has jumped forth in a strobe. All of that is computed when it is read: nothing is scheduled.

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
        self._delta = 0
        self._period = 0
        self._strobes_since = 0

    def read(self, now: int) -> int:
        """Nanoseconds since 1970, never below 0, at the world's time `now`."""
        if self._ppm or self._period:
            return max(0, self._base + now + self._drifted(now) + self._strobed(now))
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

    def strobe(self, delta_ms: int, period_ms: int, now: int) -> None:
        """Jump by `delta_ms` at `now`, back `period_ms` later, forth again as much later, and so on."""
        if period_ms <= 0:
            raise ValueError(f"the period of a strobe must be 1 ms or more, not {period_ms}")
        self._delta, self._period, self._strobes_since = delta_ms * MS, period_ms * MS, now

    def jumps(self, now: int) -> int:
        """How often the strobe has jumped since it began."""
        return (now - self._strobes_since) // self._period + 1 if self._period else 0

    def is_right(self, now: int) -> bool:
        """It shows true time, and goes on to do so."""
        return not (self._ppm or self._period or self.offset_ms(now))

    def reset(self) -> None:
        """Right again, and neither drift nor strobe."""
        self._base = EPOCH_NS
        self._ppm = self._period = 0

    def _drifted(self, now: int) -> int:
        return (now - self._drifts_since) * self._ppm // 1_000_000

    def _strobed(self, now: int) -> int:
        return self._delta if self.jumps(now) % 2 else 0
