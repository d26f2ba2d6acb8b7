"""Where nodes are, and what they and other things may be called."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final, NamedTuple

from store.core.messages import NAME_CHARS_MAX

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class Address(NamedTuple):
    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse_address(text: str) -> Address:
    """`HOST:PORT` or `[IPV6]:PORT`, port 0 to 65535; raises `ValueError`."""
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        host = ""
    if not (colon and _is_host(host) and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535):
        raise ValueError(f"{text!r} is no address; write HOST:PORT, or [IPV6]:PORT, with a port up to 65535")
    return Address(host, int(port))


def parse_name(text: str) -> str:
    """`text` if it can name a node or a cluster; raises `ValueError`."""
    if len(text) > NAME_CHARS_MAX or not _NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is no name; allowed are 1 to {NAME_CHARS_MAX} letters, digits, "
            "'.', '_' and '-', a letter or digit first"
        )
    return text


def _is_host(text: str) -> bool:
    """Whether the system's resolver would take `text` at all, not whether it knows it."""
    try:
        return text.isprintable() and " " not in text and bool(text.encode("idna"))
    except UnicodeError:
        return False


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_wildcard(host: str) -> bool:
    try:
        return ip_address(host).is_unspecified
    except ValueError:
        return False
