"""Waiting for what comes about soon, without taking our own absence for its failing to.

A process does not always run when it could: the machine is busy with others, or stood still. So what is
waited for is looked for `LOOKS` times at least, however long a look, or the rest before it, takes.
"""

from __future__ import annotations

import time
from typing import Callable

LOOKS = 8


class Patience:
    """`limit_s` by the clock `now`, of which `slice_s` at most goes by between two questions whether it is
    over."""

    def __init__(self, limit_s: float, now: Callable[[], float]) -> None:
        self.left_s = limit_s
        self.slice_s = limit_s / LOOKS
        self._now = now
        self._asked = now()

    def is_over(self) -> bool:
        now = self._now()
        self.left_s -= min(now - self._asked, self.slice_s)
        self._asked = now
        return self.left_s <= 0


def until(fact: Callable[[], bool], limit_s: float, poll_s: float) -> bool:
    """Whether `fact` comes true within `limit_s`, looked at every `poll_s`."""
    patience = Patience(limit_s, time.monotonic)
    while not fact():
        if patience.is_over():
            return False
        time.sleep(poll_s)
    return True
