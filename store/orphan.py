"""Ends this process when the one that started it goes away, however it went: for nodes that a test started.

The starter holds the other end of our stdin; when that closes, we end. Linux also kills us itself, even while
we are stopped; it does so when the *thread* that started us ends, so start nodes from a thread that stays.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def die_with_parent() -> None:
    parent = os.getppid()
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
    threading.Thread(target=_end_at_eof, name="orphan", daemon=True).start()


def _end_at_eof() -> None:
    try:
        while os.read(0, 4096):
            pass
    except OSError:
        pass
    os._exit(1)
