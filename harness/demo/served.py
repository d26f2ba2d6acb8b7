"""Of some operations, how many were answered, and how fast."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from checkers.history import Operation
from checkers.stats import quantile


class Served(Struct, frozen=True):
    """Latencies are of what was served, and None if nothing was."""

    asked: int
    served: int
    p50_ms: float | None
    p99_ms: float | None

    @property
    def fraction(self) -> float:
        return self.served / self.asked if self.asked else 0.0


def served(operations: Sequence[Operation]) -> Served:
    """Served is what was answered (`ok`)."""
    times_ms = sorted(
        [
            (each.completion.time - each.invoke.time) / 1e6
            for each in operations
            if each.completion is not None and each.outcome == "ok"
        ]
    )
    if not times_ms:
        return Served(len(operations), 0, None, None)
    p50_ms, p99_ms = (round(quantile(times_ms, fraction), 3) for fraction in (0.5, 0.99))
    return Served(len(operations), len(times_ms), p50_ms, p99_ms)
