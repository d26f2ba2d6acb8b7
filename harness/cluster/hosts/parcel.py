"""The hand as one file, which Python runs as it is, and how it comes to a host.

It is a zip of its modules: the same bytes from the same code, and sent only where others are.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import harness
from harness import hand
from harness.remote.connection import Connection
from harness.remote.errors import RemoteError

HOME: Final = "/srv/stormcellar"
"""On every host, all that is ours."""
PROGRAM: Final = f"{HOME}/hand.pyz"
_LOOK: Final = """\
cat /proc/sys/kernel/random/boot_id
readlink /proc/self/ns/net
[ -d "$1" ] && stat -c '%u %a' -- "$1" || echo
[ ! -f "$2" ] || sha256sum -- "$2"
"""
_MAIN: Final = """\
import sys

if sys.version_info < (3, 8):
    sys.exit("python3 is %d.%d here, and at least 3.8 is needed" % sys.version_info[:2])

from harness.hand.main import main

sys.exit(main(sys.argv[1:]))
"""
_LONG_AGO: Final = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Parcel:
    content: bytes
    sha256: str


class Machine(NamedTuple):
    """The running kernel, and a network namespace on it."""

    boot: str
    network: str


class Found(NamedTuple):
    """What is on a host: its kernel, whether our directory is there, and the hand's digest, empty if none."""

    machine: Machine
    home: bool
    sha256: str


async def look(connection: Connection) -> Found:
    """Changes nothing; raises a `RemoteError`, also when others than root could write into our directory, for
    root will run and believe what is in there."""
    completed = await connection.run(["sh", "-c", _LOOK, "sh", HOME, PROGRAM])
    boot, network, home, digest = [*completed.text.split("\n"), "", "", "", ""][:4]
    owner, _, mode = home.partition(" ")
    if home and (owner != "0" or int(mode, 8) & 0o022):
        mend = f"chown root {HOME}; chmod 755 {HOME}"
        raise RemoteError(connection.host.name, f"others than root can write into {HOME} there: {mend}")
    return Found(Machine(boot, network), home != "", digest.partition(" ")[0])


async def deliver(connection: Connection, found: Found) -> None:
    """Raises a `RemoteError`."""
    if found.sha256 != parcel().sha256:
        command = ["install", "-D", "-m", "644", "/dev/stdin", PROGRAM]
        await connection.run(command, sudo=True, stdin=parcel().content)


@cache
def ourselves() -> Machine | None:
    """Where the harness runs; None where there are no such things."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return Machine(boot, os.readlink("/proc/self/ns/net"))
    except OSError:
        return None


@cache
def parcel() -> Parcel:
    return pack(modules())


def modules() -> dict[str, bytes]:
    """By their paths in the zip."""
    files = {"__main__.py": _MAIN.encode(), "harness/__init__.py": Path(harness.__file__).read_bytes()}
    directory = Path(hand.__file__).parent
    for path in sorted([*directory.glob("*.py"), *directory.glob("*.c")]):
        files[f"harness/hand/{path.name}"] = path.read_bytes()
    return files


def pack(files: Mapping[str, bytes]) -> Parcel:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(zipfile.ZipInfo(name, _LONG_AGO), content, zipfile.ZIP_DEFLATED)
    return Parcel(packed.getvalue(), hashlib.sha256(packed.getvalue()).hexdigest())
