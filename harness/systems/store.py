"""The bundled store as a system on hosts."""

from __future__ import annotations

import json
import secrets
import socket
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import trio

from harness.cluster.base import Lost, NotSent
from harness.cluster.buckets import bucket_lines
from harness.cluster.members import ASK_S, ROLES, roles_of
from harness.cluster.pace import timing
from harness.cluster.session import CONNECT_LIMIT_S, StoreSession
from harness.remote.host import Dial
from harness.systems.base import Daemon, Site
from harness.systems.install import Package, Python, install
from store.core.messages import Report, Status
from store.net.channel import plain_reason
from store.net.secret import Secret

CLUSTER_NAME: Final = "stormcellar"
PORT: Final = 7000
DIALS_MAX: Final = 200
"""Sockets that are being connected at a time, a thread each."""
PACKAGE: Final = Package(
    name="store",
    needs=("trio", "msgspec", "rocksdict", "cryptography", "h11", "prometheus-client", "rich"),
    interpreters=(sys.executable, "/opt/stormcellar/bin/python"),
    remedy="run the harness with such a Python, or install stormcellar there in a virtual environment at "
    "/opt/stormcellar",
)
"""A host of a lab sees our own files; a machine that was provisioned has the other interpreter."""


class BundledStore:
    """Implements `System`. Good for one cluster: who is of it knows its secret, drawn here."""

    name = "store"
    role_names: tuple[str, ...] = ROLES
    begins_anew = True
    port = PORT

    def __init__(self, replication: int, connect_limit_s: float = CONNECT_LIMIT_S) -> None:
        self._replication = replication
        self._connect_limit_s = connect_limit_s
        self._secret = secrets.token_hex(32)
        self._security = Secret(self._secret.encode())
        self._pythons: dict[str, Python] = {}
        self._dials = trio.CapacityLimiter(DIALS_MAX)

    async def setup(self, site: Site, sites: Sequence[Site]) -> None:
        self._pythons[site.node] = await install(site.host, PACKAGE)
        files = {"secret": self._secret, "node.toml": config(site, sites, self._replication)}
        for name, text in files.items():
            await site.run(["install", "-m", "600", "/dev/stdin", f"{site.home}/{name}"], text.encode())

    def daemons(self, site: Site) -> tuple[Daemon, ...]:
        python = self._pythons[site.node]
        argv = (*python.argv, "-m", "store", "node", "--config", f"{site.home}/node.toml")
        return (Daemon("store", argv, _log(site), python.env),)

    def data(self, site: Site) -> str:
        return f"{site.home}/data"

    async def connect(self, site: Site) -> StoreSession:
        dial = partial(_dialed, site.host.host.dial, self._connect_limit_s)

        async def dialed(host: str, port: int) -> socket.socket:
            return await trio.to_thread.run_sync(dial, host, port, limiter=self._dials)

        return await StoreSession.open(
            (site.address, PORT), CLUSTER_NAME, self._security, dialed, self._connect_limit_s
        )

    async def serves(self, site: Site) -> bool:
        try:
            session = await self.connect(site)
            response = await session.request(Status(), ASK_S)
        except (NotSent, Lost):
            return False
        await session.close()
        return isinstance(response, Report) and response.status.get("serves") is True

    async def roles(self, sites: Sequence[Site], running: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        by_name = {site.node: site for site in sites}
        return await roles_of(lambda node: self.connect(by_name[node]), running, tuple(by_name))

    def logs(self, site: Site) -> tuple[str, ...]:
        return (_log(site),)

    async def teardown(self, site: Site) -> None:
        """A bundle stays: the next run finds it."""


def config(site: Site, sites: Sequence[Site], replication: int) -> str:
    """The configuration file of the node at `site`, one of `sites`."""
    role = f"replication = {replication}" if site.begins else "join = true"
    peers = [f'{json.dumps(one.node)} = "{_place(one)}"' for one in sites if one.begins]
    lines = [
        f"name = {json.dumps(site.node)}",
        f"cluster = {json.dumps(CLUSTER_NAME)}",
        f'listen = "{_place(site)}"',
        "allow_remote = true",
        'secret_file = "secret"',
        'data = "data"',
        role,
        *("", "[timing]", *timing()),
        *("", "[peers]", *peers),
        *("", *(bucket_lines() if site.begins else [])),
    ]
    return "\n".join(lines) + "\n"


def _place(site: Site) -> str:
    return f"[{site.address}]:{PORT}" if ":" in site.address else f"{site.address}:{PORT}"


def _log(site: Site) -> str:
    return f"{site.home}/log"


def _dialed(dial: Dial, limit_s: float, host: str, port: int) -> socket.socket:
    try:
        return dial(host, port, limit_s)
    except OSError as error:
        raise OSError(plain_reason(error)) from None
