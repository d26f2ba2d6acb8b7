"""Lifeguard's local health: how far this node should doubt itself rather than others (Dadgar et al. 2018,
section IV-A).

A node that cannot keep up with its own messages sees everybody else fail. Whatever hints at that raises the
score, and with it the node's patience.
"""

from __future__ import annotations

from typing import Final

SCORE_MAX: Final = 8


class LocalHealth:
    """`score` 0 is well."""

    def __init__(self, period_nanos: int) -> None:
        self.score = 0
        self._period_nanos = period_nanos

    def worse(self) -> None:
        self.score = min(SCORE_MAX, self.score + 1)

    def better(self) -> None:
        self.score = max(0, self.score - 1)

    def scaled(self, nanos: int) -> int:
        return nanos * (self.score + 1)

    def overslept(self, due: int, now: int) -> bool:
        """Whether what was due at `due` is looked at so late that this node must have stood still: what it
        has not heard meanwhile says nothing of others."""
        if now - due <= self._period_nanos:
            return False
        self.worse()
        return True
