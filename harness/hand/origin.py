"""Who controls this host: the other end of the SSH connection through which we were started."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path
from typing import Mapping, NamedTuple, Optional

from harness.hand.context import Refused


class Origin(NamedTuple):
    """Where the connection comes from, and the port here that it came to."""

    address: str
    port: int


_known: Optional[Origin] = None


def remember(process: int) -> None:
    """From now on we are controlled through what this process was started through, also when that is gone."""
    global _known
    _known = _above(process) or _known


def origin() -> Optional[Origin]:
    """None: we were not started through SSH."""
    return _known or _above(os.getpid())


def _above(process: int) -> Optional[Origin]:
    """With sudo in between, an ancestor knows."""
    while process > 0:
        here = Path(f"/proc/{process}")
        try:
            words = (here / "environ").read_bytes().split(b"\0")
            process = int((here / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return None
        for word in words:
            if word.startswith(b"SSH_CONNECTION="):
                address, _, _, port = word.decode().partition("=")[2].split()
                return Origin(_plain(address), int(port))
    return None


def spare_controller(peers: Mapping[str, str]) -> None:
    """Raises `Refused` if one of these addresses, by name, is where we are controlled from."""
    controller = origin()
    for name, address in peers.items():
        if controller is not None and _plain(address) == controller.address:
            raise Refused(
                f"what {name} ({address}) sends cannot be dropped: the host is controlled from there by SSH"
            )


def _plain(address: str) -> str:
    """IPv4 addresses are sometimes written as IPv6 ones."""
    given = ipaddress.ip_address(address.partition("%")[0])
    return str(getattr(given, "ipv4_mapped", None) or given)
