"""What a lab consists of: names, addresses and paths. Pure.

Every lab has the same addresses, for no lab sees another one, and the machine's own network sees none.
Paths inside a lab differ from those outside: the lab's directory is its `/run`, and each host's part of it
is that host's `/run` again.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from msgspec import Struct

RUNTIME: Final = Path("/run/stormcellar")
"""All labs of a machine. What is in here does not outlive a reboot, and neither does a lab."""
DEFAULT_NAME: Final = "lab"
HOSTS_MAX: Final = 100
CLIENT: Final = "client"
"""The namespace from which the harness connects."""
PREFIX: Final = 24
_NETWORK: Final = "10.77.0"
_CLIENT_ADDRESS: Final = f"{_NETWORK}.254"
NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?\Z")


class LabError(Exception):
    """A lab could not be brought up, found or taken down: one sentence."""


class LabHost(Struct, frozen=True):
    name: str
    address: str


class Layout(Struct, frozen=True):
    """`directory` is where the lab's files are outside."""

    name: str
    directory: Path
    hosts: tuple[LabHost, ...]

    @property
    def stations(self) -> tuple[LabHost, ...]:
        """Everything that is plugged into the switch."""
        return (*self.hosts, LabHost(CLIENT, _CLIENT_ADDRESS))

    @property
    def identity(self) -> Path:
        return self.directory / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    @property
    def ssh_config(self) -> Path:
        return self.directory / "ssh_config"

    @property
    def log(self) -> Path:
        return self.directory / "log"

    def host_directory(self, host: LabHost) -> Path:
        return self.directory / "hosts" / host.name


def layout_of(name: str, count: int, runtime: Path) -> Layout:
    """`count` hosts n1, n2, ... Raises `LabError`."""
    if not 1 <= count <= HOSTS_MAX:
        raise LabError(f"a lab has 1 to {HOSTS_MAX} hosts, not {count}")
    hosts = tuple(LabHost(f"n{i}", f"{_NETWORK}.{i}") for i in range(1, count + 1))
    return Layout(name, directory_of(name, runtime), hosts)


def directory_of(name: str, runtime: Path) -> Path:
    """Raises `LabError`."""
    if not NAME.match(name):
        raise LabError(f"{name!r} is no name for a lab: up to 32 small letters and digits, with - inside")
    return runtime / "labs" / name
