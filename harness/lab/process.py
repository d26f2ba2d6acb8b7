"""The first process of a process namespace: found again later, and ended with all the others."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from typing import Final

from harness.hand.proc import Identity, boot_id, see

END_LIMIT_S: Final = 10.0


def is_alive(first: Identity) -> bool:
    with suppress(ProcessLookupError):
        seen = see(first.pid)
        return not seen.ended and Identity(seen.pid, seen.start, boot_id()) == first
    return False


def end(first: Identity) -> bool:
    """End the namespace: the kernel ends all others with its first process, and lets that go only when they
    are gone. False if something was left after `END_LIMIT_S`."""
    try:
        handle = os.pidfd_open(first.pid)
    except ProcessLookupError:
        return True
    try:
        if not is_alive(first):
            return True
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        wait = select.poll()
        wait.register(handle, select.POLLIN)
        return bool(wait.poll(END_LIMIT_S * 1000))
    finally:
        os.close(handle)
