"""What /proc says of processes, and which of them came from one that we started."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Dict, List, NamedTuple, Set

ENDED = ("Z", "X", "x")
STOPPED = ("T", "t")
TAG = "STORMCELLAR_DAEMON"
"""In the environment of a daemon, and so in that of its children: a word that no other daemon has."""


class Seen(NamedTuple):
    """`state` is one letter, as in ps, of its first thread; `start` counts clock ticks since the host was
    booted."""

    pid: int
    state: str
    parent: int
    session: int
    threads: int
    start: int

    @property
    def ended(self) -> bool:
        """Nothing of it runs; it may wait to be reaped."""
        return self.state in ENDED and self.threads <= 1


class Identity(NamedTuple):
    """What no other process has, also after this one has ended and its number was given to another."""

    pid: int
    start: int
    boot: str


def boot_id() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def see(pid: int) -> Seen:
    """Raises `ProcessLookupError` for a process that is gone; one that only waits to be reaped is not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        raise ProcessLookupError(f"there is no process {pid}") from None
    words = stat[stat.rindex(")") + 2 :].split()
    return Seen(pid, words[0], int(words[1]), int(words[3]), int(words[17]), int(words[19]))


def see_all() -> Dict[int, Seen]:
    """Every process that has not ended."""
    found = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                seen = see(int(name))
            except ProcessLookupError:
                continue
            if not seen.ended:
                found[seen.pid] = seen
    return found


def identify(pid: int) -> Identity:
    """Raises `ProcessLookupError`."""
    return Identity(pid, see(pid).start, boot_id())


def family(identity: Identity, tag: str) -> List[Seen]:
    """The process and all that came from it: what is in its session, carries its tag, or descends from any
    of those; empty when nothing of them is left."""
    if identity.boot != boot_id():
        return []
    everybody = see_all()
    leader = everybody.get(identity.pid)
    lives = leader is not None and leader.start == identity.start
    found: Set[int] = {identity.pid} if lives else set()
    for pid, seen in everybody.items():
        in_session = lives and seen.session == identity.pid
        if in_session or (seen.start >= identity.start and carries(pid, tag)):
            found.add(pid)
    while True:
        children = {seen.pid for seen in everybody.values() if seen.parent in found} - found
        if not children:
            return [everybody[pid] for pid in sorted(found)]
        found |= children


def carries(pid: int, tag: str) -> bool:
    """Whether the tag is in its environment; False for a process that has ended, or is somebody else's."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"{TAG}={tag}".encode() in environment.split(b"\0")
