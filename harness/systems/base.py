"""What the harness must know of a system to run it on hosts: the system says what, the harness does how.

A node of a system is one or more daemons. The harness starts them, signals them, watches them, puts their
data on a disk of its own and their clocks into its hands; so a system only describes them, and says when a
node serves. Everything of a node lies below `Site.home` on its host.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from harness.cluster.base import ClusterError, NotSent, Session
from harness.remote.connection import Connection
from harness.remote.errors import RemoteError
from harness.remote.shell import Completed

DIAL_LIMIT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Site:
    """One node's place: the host it runs on, `address` (IP) where nodes and clients find it, `home`, the
    absolute path of its directory there. `begins`: it is one of those that begin the cluster, no spare."""

    node: str
    host: Connection
    address: str
    home: str
    begins: bool

    async def run(self, words: Sequence[str], stdin: bytes = b"") -> Completed:
        """Run a command on the host as root. Raises `ClusterError`, also when it fails."""
        try:
            return await self.host.run(words, sudo=True, stdin=stdin)
        except RemoteError as error:
            raise ClusterError(str(error)) from None

    async def dial(self, port: int, limit_s: float = DIAL_LIMIT_S) -> trio.SocketStream:
        """A TCP connection to the node from where its clients are, which for a lab's hosts is the only place
        that reaches them. Raises `NotSent`."""
        try:
            dial = self.host.host.dial
            sock = await trio.to_thread.run_sync(dial, self.address, port, limit_s, abandon_on_cancel=True)
        except OSError as error:
            raise NotSent(f"{self.node}: {error.strerror or error}") from None
        sock.setblocking(False)
        return trio.SocketStream(trio.socket.from_stdlib_socket(sock))


@dataclass(frozen=True, slots=True)
class Daemon:
    """A process to be run as root, in the foreground; `log` (absolute) gets both its outputs."""

    name: str
    argv: tuple[str, ...]
    log: str
    env: Mapping[str, str] = field(default_factory=dict)


class System(Protocol):
    name: str
    role_names: tuple[str, ...]
    """The roles that a node may have."""
    begins_anew: bool
    """A node that lost all its data may be started as it is, under its name: the system itself sees to it
    that this breaks no promise."""
    port: int
    """Where clients find a node; whoever else comes to that port from no node is a client."""

    async def setup(self, site: Site, sites: Sequence[Site]) -> None:
        """Install what is missing on the host and write the node's configuration; nothing runs afterwards.
        `Site.home` is there, and empty. Raises `ClusterError`; it is cancelled when it takes too long, as is
        `teardown`."""
        ...

    def daemons(self, site: Site) -> tuple[Daemon, ...]:
        """What a node consists of, in the order in which they are started."""
        ...

    def data(self, site: Site) -> str:
        """The directory that holds all that a node keeps, absolute, below `home`."""
        ...

    async def connect(self, site: Site) -> Session:
        """Raises `NotSent` when the node cannot be reached. The session may be asked for what the system has
        not got; it raises `NotSent` then, too."""
        ...

    async def serves(self, site: Site) -> bool:
        """Whether the node does its part now; asked again and again after a start."""
        ...

    async def roles(self, sites: Sequence[Site], running: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        """Which nodes have which role, as far as anybody can tell; `running` are the nodes that run. Raises
        `ClusterError` if nobody can."""
        ...

    def logs(self, site: Site) -> tuple[str, ...]:
        """Files on the host, absolute, that are fetched after a run."""
        ...

    async def teardown(self, site: Site) -> None:
        """Remove what `setup` installed outside `home`, unless it was there before, or is below
        `/srv/stormcellar` so that the next run need not send it again. Nothing runs."""
        ...
