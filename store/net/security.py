"""The ways in which connections are secured, one of which a node and all who speak to it have in common.

Nobody is to be kept out of loopback, so there it may be `PLAIN`. `tls` is for everything else; `secret` keeps
strangers out of a lab, and hides nothing.
"""

from __future__ import annotations

from pathlib import Path

from store.net.handshake import PLAIN, Security, SecurityError, Unproven
from store.net.secret import Secret
from store.net.tls import Tls

__all__ = ["PLAIN", "Security", "SecurityError", "Unproven", "secret", "tls"]


def tls(cert: Path, key: Path, ca: Path) -> Security:
    """By certificates, as certs.py makes them, in PEM: one's own, its key, and the authority's. Raises
    `SecurityError`."""
    return Tls(cert, key, ca)


def secret(path: Path, node: str = "") -> Security:
    """By the secret in the file; `node` is one's own name, empty for a client. Raises `SecurityError`."""
    return Secret.from_file(path, node)
