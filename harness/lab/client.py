"""The only way into a lab: sockets that are made in its client namespace.

A socket belongs to the network namespace of the thread that made it, for good. So a thread is made for
each, enters the namespace, connects and ends; nothing else of the harness ever leaves its own namespace.
"""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from pathlib import Path
from typing import Final

from msgspec import Struct

_CLONE_NEWNET: Final = 0x40000000


class ClientNamespace(Struct, frozen=True):
    """`path` is the namespace's file."""

    path: Path

    def dial(self, address: str, port: int, timeout_s: float) -> socket.socket:
        """A connected socket; raises `OSError`."""
        made: list[socket.socket | OSError] = []

        def connect() -> None:
            try:
                self._enter()
                made.append(socket.create_connection((address, port), timeout=timeout_s))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=connect, name=f"socket to {address}")
        thread.start()
        thread.join()
        if not made:
            raise OSError("the thread that should have connected broke")
        if isinstance(made[0], OSError):
            raise made[0]
        return made[0]

    def _enter(self) -> None:
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # os.setns is there from Python 3.12 on
            if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
                number = ctypes.get_errno()
                raise OSError(number, f"the lab's namespace was not entered: {os.strerror(number)}")
        finally:
            os.close(descriptor)
