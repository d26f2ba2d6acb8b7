"""A system that is not ours, as anybody might bring one: two daemons a node, one of which answers lines of
text on a socket and keeps a file. Nothing of the bundled store is in it but the messages of its sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import trio

from harness.cluster.base import Lost, NotSent
from harness.systems.base import Daemon, Site
from store.core.messages import Body, Done, Failed, Found, Get, Put, Response

PROGRAM: Final = "/srv/abacus.py"
_SERVER: Final = """
import os, signal, socketserver, sys
address, port, path = sys.argv[1], int(sys.argv[2]), sys.argv[3]
os.makedirs(os.path.dirname(path), exist_ok=True)
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), os._exit(0)))
class Handler(socketserver.StreamRequestHandler):
    def handle(self):
        for line in self.rfile:
            word, _, value = line.decode().rstrip().partition(" ")
            if word == "put":
                with open(path, "w") as file:
                    file.write(value)
                    file.flush()
                    os.fsync(file.fileno())
            elif word == "die":
                os._exit(int(value))
            self.wfile.write((open(path).read() if os.path.exists(path) else "").encode() + b"\\n")
class Server(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
print("the abacus listens", flush=True)
Server((address, port), Handler).serve_forever()
"""


class Abacus:
    """Implements `System`. `setup` writes the program next to nothing else; `teardown` removes it."""

    name = "abacus"
    role_names = ("first", "other")
    begins_anew = True
    port = 7100

    async def setup(self, site: Site, sites: Sequence[Site]) -> None:
        await site.run(["install", "-m", "644", "/dev/stdin", PROGRAM], _SERVER.encode())

    def daemons(self, site: Site) -> tuple[Daemon, ...]:
        clerk = ("sh", "-c", 'while :; do echo "$NOTE"; sleep 0.05; done')
        server = ("python3", PROGRAM, site.address, str(self.port), f"{self.data(site)}/beads")
        return (
            Daemon("clerk", clerk, f"{site.home}/clerk.log", {"NOTE": f"{site.node} is well"}),
            Daemon("server", server, f"{site.home}/server.log"),
        )

    def data(self, site: Site) -> str:
        return f"{site.home}/data"

    async def connect(self, site: Site) -> Line:
        return Line(await site.dial(self.port))

    async def serves(self, site: Site) -> bool:
        try:
            session = await self.connect(site)
            await session.request(Get("", "one"), 1)
            await session.close()
        except (NotSent, Lost):
            return False
        return True

    async def roles(self, sites: Sequence[Site], running: Sequence[str]) -> Mapping[str, tuple[str, ...]]:
        names = tuple(site.node for site in sites)
        return {"first": names[:1], "other": names[1:]}

    def logs(self, site: Site) -> tuple[str, ...]:
        return (f"{site.home}/server.log", f"{site.home}/clerk.log", f"{site.home}/none.log")

    async def teardown(self, site: Site) -> None:
        await site.run(["rm", "-f", PROGRAM])


class Line:
    """Implements `Session`; there is one key."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self._stream = stream

    async def request(self, body: Body, timeout_s: float) -> Response:
        match body:
            case Put(_, value):
                said = await self.say(f"put {value.decode()}", timeout_s)
                return Done(1) if said == value else Failed(1, "odd", said.decode())
            case Get():
                said = await self.say("get", timeout_s)
                return Found(1, said or None)
        raise NotSent("an abacus only puts and gets")

    async def say(self, line: str, timeout_s: float) -> bytes:
        try:
            with trio.fail_after(timeout_s):
                await self._stream.send_all(f"{line}\n".encode())
                said = b""
                while not said.endswith(b"\n"):
                    more = await self._stream.receive_some()
                    if not more:
                        raise Lost("it hung up")
                    said += more
                return said[:-1]
        except (trio.TooSlowError, trio.BrokenResourceError) as error:
            raise Lost(f"{error}") from None

    async def close(self) -> None:
        await self._stream.aclose()
