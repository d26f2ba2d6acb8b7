"""Where the hand is: whose host, in which namespaces, and alone in its directory."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import platform
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any, Dict

from harness.hand import proc

LOCK = "hand.lock"
_CLONE_NEWNS = 0x20000
_MS_REC, _MS_SLAVE = 0x4000, 1 << 19


class Lock:
    """Held by one hand, and by the process that guards it; given up when both have ended, however they did.
    Its file says who holds it, or how that one ended, and its `token`, which only its run is told."""

    def __init__(self, home: Path) -> None:
        self.token = secrets.token_hex(16)
        self._file = os.open(home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def take(self) -> bool:
        """False if another one holds it."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def write(self, content: Dict[str, Any]) -> None:
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps({"token": self.token, **content}).encode(), 0)

    def read(self) -> Dict[str, Any]:
        with suppress(ValueError):
            content = json.loads(os.pread(self._file, 1 << 20, 0))
            if isinstance(content, dict):
                return content
        return {}


def mounts_of_our_own() -> str:
    """From here on what this process mounts is seen by it and its children alone; what the host unmounts, it
    still loses, too. If that is impossible, why; otherwise nothing."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) != 0 or libc.mount(None, b"/", None, _MS_REC | _MS_SLAVE, None) != 0:
        return f"no mount namespace of its own: {os.strerror(ctypes.get_errno())}"
    return ""


def who() -> Dict[str, Any]:
    """What the harness is told: `boot` names the running kernel, `network` this network namespace on it."""
    return {
        "pid": os.getpid(),
        "boot": proc.boot_id(),
        "network": os.readlink("/proc/self/ns/net"),
        "python": platform.python_version(),
    }
