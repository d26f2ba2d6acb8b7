"""The power of a node's own disk fails: what was not synced is lost, what was is not.

The file system is shut down without its journal's being written (EXT4_IOC_SHUTDOWN with NOLOGFLUSH, as Linux'
own tests do it), while the daemons are frozen, so that they see no error before they are killed. Mounting it
again replays the journal, as a machine does that gets its power back.
"""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import Dict

from harness.hand import daemons, disks
from harness.hand.context import Context, Operation, Refused, Undoer, Value

_EXT4_IOC_SHUTDOWN = 0x8004587D
_NOLOGFLUSH = 2
UNSYNCED = b"not synced when the power failed\n"


def power_off(context: Context, args: Value) -> Value:
    """Fail the power of `node`. Answers as `kill` does, and more. A line was written and synced when the disk
    was mounted, and just now another one over it, not synced: `kept` and `lost` say whether the one is there
    afterwards, and the other not. `shorter`: of files that are shorter or gone, how many bytes."""
    disk = disks.of(context, args["node"])
    daemons.pause(context, args)
    try:
        before = _sizes(disk.data)
        with disk.canary.open("r+b", buffering=0) as canary:
            canary.write(UNSYNCED)
        _shut_down(disk.mount)
    except BaseException:
        daemons.resume(context, args)
        raise
    killed = daemons.kill(context, args)
    disks.unmount(disk)
    disks.mount(disk)
    after = _sizes(disk.data)
    held = disk.canary.read_bytes()
    shorter = {path: size - after.get(path, 0) for path, size in before.items() if size > after.get(path, 0)}
    return {
        **killed,
        "kept": held == disks.KEPT,
        "lost": held != UNSYNCED,
        "files": len(before),
        "shorter": shorter,
    }


def _shut_down(mount: Path) -> None:
    descriptor = os.open(mount, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(descriptor, _EXT4_IOC_SHUTDOWN, struct.pack("I", _NOLOGFLUSH))
    except OSError as error:
        raise Refused(f"the kernel does not shut {mount} down: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _sizes(directory: Path) -> Dict[str, int]:
    """Of every file below, by its path there."""
    sizes = {}
    for folder, _, names in os.walk(directory):
        for name in names:
            path = os.path.join(folder, name)
            sizes[os.path.relpath(path, directory)] = os.lstat(path).st_size
    return sizes


OPERATIONS: Dict[str, Operation] = {"power-off": power_off}
UNDOERS: Dict[str, Undoer] = {}
