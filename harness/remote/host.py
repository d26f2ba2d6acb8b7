"""Where a host is, who we are there, and how we know that it is the right one."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

Dial = Callable[[str, int, float], socket.socket]
"""Makes a socket connected to an address and port within some seconds, or raises `OSError`; in a thread."""

HostKeys = Literal["strict", "any"]
"""`strict`: only a key that is known beforehand. `any`: whichever key the host shows (a throw-away VM)."""

NAME: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?\Z")
"""What a host may be called: it is used in file names and on command lines."""
_WORD: Final = re.compile(r"[^\s/,#\"'@-][^\s/,#\"']*\Z")
"""What an address or a user looks like, as far as that can be told: no option, and no slip."""


def direct(address: str, port: int, timeout_s: float) -> socket.socket:
    """A `Dial` from where the harness itself runs."""
    return socket.create_connection((address, port), timeout=timeout_s)


@dataclass(frozen=True, slots=True)
class Host:
    """Asked for in this order: the keys in the files `keys`, those of the agent if `agent` (a path: of the
    one that listens there), the password. `known_as`: what files of known hosts call it, if that is not its
    address and port. `unheeded`: what is told in addition when it does not let us in."""

    name: str
    address: str
    port: int = 22
    user: str = "root"
    keys: tuple[Path, ...] = ()
    agent: bool | Path = True
    password: str | None = field(default=None, repr=False)
    known_hosts: tuple[Path, ...] = (Path("~/.ssh/known_hosts"), Path("/etc/ssh/ssh_known_hosts"))
    host_keys: HostKeys = "strict"
    known_as: str = ""
    unheeded: str = ""
    dial: Dial = direct

    def __post_init__(self) -> None:
        if not NAME.match(self.name):
            raise ValueError(f"{self.name!r} is no name for a host: letters, digits, and -_. inside")
        for what, word in (("address", self.address), ("user", self.user)):
            if not (_WORD.match(word) and word.isprintable()):
                raise ValueError(f"{word!r} is no {what}")
        if not 1 <= self.port <= 65535:
            raise ValueError(f"{self.port} is not a port from 1 to 65535")
