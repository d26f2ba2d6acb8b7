"""After a run that was killed: end its hands on the hosts, and undo what their undo logs still hold."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import trio
from msgspec import Struct

from harness.cluster.hosts.hand import told
from harness.cluster.hosts.parcel import HOME, PROGRAM, deliver, look
from harness.remote.connection import Connection
from harness.remote.errors import RemoteError
from harness.remote.host import Host

HEAL_LIMIT_S: Final = 180.0
"""On one host: a hand that does not end when asked is killed, and each entry has a limit of its own."""


class _Healed(Struct, frozen=True):
    """What the hand's `heal` prints; `ended` is the process of a hand that was there."""

    ended: int | None
    undone: list[str]
    failed: list[str]


class HostReport(Struct, frozen=True):
    """`clean`: for certain nothing of ours is left in force there. `sentence` names the host."""

    host: str
    clean: bool
    sentence: str


async def heal(hosts: Sequence[Host], set_aside: bool = False) -> list[HostReport]:
    """All at the same time; the reports are in the order of the hosts. With `set_aside`, an undo log with a
    line that makes no sense is put out of the way once all else in it is undone. Raises nothing."""
    reports: dict[str, HostReport] = {}

    async def one(host: Host) -> None:
        try:
            async with Connection(host) as connection:
                reports[host.name] = await _heal(connection, set_aside)
        except RemoteError as error:
            reports[host.name] = HostReport(host.name, False, str(error))

    async with trio.open_nursery() as nursery:
        for host in hosts:
            nursery.start_soon(one, host)
    return [reports[host.name] for host in hosts]


async def _heal(connection: Connection, set_aside: bool) -> HostReport:
    name = connection.host.name
    found = await look(connection)
    if not found.home:
        return HostReport(name, True, f"{name}: nothing was left")
    await deliver(connection, found)
    command = ["python3", PROGRAM, "heal", HOME, *(["set-aside"] if set_aside else [])]
    completed = await connection.run(command, sudo=True, timeout_s=HEAL_LIMIT_S)
    try:
        healed = msgspec.json.decode(completed.stdout, type=_Healed)
    except msgspec.MsgspecError:
        return HostReport(name, False, f"{name}: its hand answered {completed.text[:100]!r}")
    ended = "" if healed.ended is None else "the hand of a run was ended; "
    return HostReport(name, not healed.failed, f"{name}: {ended}{told(healed.undone, healed.failed)}")
