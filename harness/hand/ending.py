"""Heal a host after a run, also one whose hand is still there: that one is ended first, and heals."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional

from harness.hand import place
from harness.hand.context import Refused, Undoer
from harness.hand.healing import heal_home
from harness.hand.patience import until
from harness.hand.proc import identify

END_LIMIT_S = 15.0
"""How long a hand may take to heal when it is asked to end, before it is killed; and once more as long for
the process that then heals in its place."""
_POLL_S = 0.01


def heal_after(home: Path, undoers: Mapping[str, Undoer], set_aside: bool = False) -> Dict[str, Any]:
    """`undone` and `failed`, in words, and `ended`: the process that held the host, None if none did.
    `set_aside` as of `heal`."""
    lock = place.Lock(home)
    try:
        ended = _end_holder(lock)
    except Refused as error:
        return {"ended": None, "undone": [], "failed": [str(error)]}
    before = lock.read().get("undone", []) if ended is not None else []
    place.mounts_of_our_own()  # undoers that unmount shall not meet what others have mounted
    healing = heal_home(home, undoers, set_aside)
    return {"ended": ended, "undone": before + healing.undone, "failed": healing.failed}


def _end_holder(lock: place.Lock) -> Optional[int]:
    """Take the lock, from another hand if there is one; its process."""
    ended = None

    def taken(number: int) -> bool:
        nonlocal ended
        if lock.take():
            return True
        holder = lock.read().get("holder")
        if holder is not None and _lives(holder):
            ended = int(holder[0])
            with suppress(ProcessLookupError):
                os.kill(ended, number)
        return False

    for number in (signal.SIGTERM, signal.SIGKILL):
        if until(partial(taken, number), END_LIMIT_S, _POLL_S):
            return ended
    raise Refused(f"the hand of another run (process {ended}) does not end")


def _lives(holder: List[Any]) -> bool:
    try:
        return list(identify(holder[0])) == holder
    except (ProcessLookupError, TypeError, IndexError):
        return False
