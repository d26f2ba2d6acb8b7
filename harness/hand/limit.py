"""A limit on how long something of the hand may take, so that nothing keeps it from healing."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from types import FrameType
from typing import Iterator, Optional


class TooLong(BaseException):
    """No `Exception`, so that whoever is interrupted by it does not take it for a failure of its own."""


@contextmanager
def limited(limit_s: float) -> Iterator[None]:
    """Raise `TooLong` in the middle of whatever runs when it takes too long. Main thread only; not nested."""

    def ring(number: int, frame: Optional[FrameType]) -> None:
        raise TooLong(f"no end after {limit_s:g} s")

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
