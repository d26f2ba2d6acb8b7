"""A process that is found again later, by another process, and never mistaken for one that got its number."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

from msgspec import Struct

END_LIMIT_S: Final = 10.0


class Process(Struct, frozen=True):
    """`started` is in clock ticks since the boot that `boot` names."""

    pid: int
    started: int
    boot: str


def identify(pid: int) -> Process:
    """Raises `ProcessLookupError` when it is gone, or a zombie."""
    stat = _stat(pid)
    if stat is None:
        raise ProcessLookupError(pid)
    return Process(pid, stat[1], _boot())


def is_alive(process: Process) -> bool:
    with suppress(ProcessLookupError):
        return identify(process.pid) == process
    return False


def end_with_namespace(process: Process) -> bool:
    """End a process whose child is the first of a process namespace, and with it the namespace: the kernel
    lets that child go only when all others are gone. False if something was left after `END_LIMIT_S`."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return True
    try:
        if is_alive(process):
            for pid in _children(process.pid) or [process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if not _ends(handle):
                return False
    finally:
        os.close(handle)
    with suppress(ChildProcessError):  # mostly it is the child of another process
        os.waitpid(process.pid, os.WNOHANG)
    return True


def _ends(handle: int) -> bool:
    wait = select.poll()
    wait.register(handle, select.POLLIN)
    return bool(wait.poll(END_LIMIT_S * 1000))


def _children(pid: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            stat = _stat(int(entry.name))
            if stat is not None and stat[0] == pid:
                found.append(int(entry.name))
    return found


def _stat(pid: int) -> tuple[int, int] | None:
    """Parent and start of a process that lives."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if after_name[0] in "ZX" else (int(after_name[1]), int(after_name[19]))


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
