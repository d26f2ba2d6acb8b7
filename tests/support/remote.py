"""Scenes with one connection to one host."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
import trio

from harness.remote.connection import Connection
from harness.remote.errors import RemoteError
from harness.remote.host import Host

PATIENCE_S: Final = 30


def play(host: Host, scene: Callable[[Connection], Awaitable[None]]) -> None:
    async def main() -> None:
        with trio.fail_after(PATIENCE_S):
            async with Connection(host) as connection:
                await scene(connection)

    trio.run(main)


def refusal(host: Host, kind: type[RemoteError]) -> str:
    """What connecting to it fails with: one sentence, that names the host."""
    said: list[str] = []

    async def scene(connection: Connection) -> None:
        with pytest.raises(kind) as refused:
            await connection.connect()
        said.append(str(refused.value))

    play(host, scene)
    assert said[0].startswith(f"{host.name}: ")
    assert "\n" not in said[0]
    return said[0]


class Sleeper:
    """A command with a child, both of which can be told from all others."""

    def __init__(self) -> None:
        self.seconds = f"{random.randrange(10_000, 99_999)}.{os.getpid()}"
        self.argv = ("sh", "-c", f"sleep {self.seconds} & sleep {self.seconds}")

    def running(self) -> list[int]:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                alive = (process / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
                words = (process / "cmdline").read_bytes().split(b"\0")
                if alive and words[:2] == [b"sleep", self.seconds.encode()]:
                    found.append(int(process.name))
        return found

    async def until(self, count: int) -> None:
        while len(self.running()) != count:  # noqa: ASYNC110  # nobody tells of other people's processes
            await trio.sleep(0.01)
