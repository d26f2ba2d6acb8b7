"""A disk of its own for a node's data: an ext4 file system in a file, mounted by a loop device; and full.

The image is mounted at `disks/NODE` below our directory, and its folder `data` over the node's data
directory. What else is on it (`ballast`, `canary`, probes) lies beside `data`, where the system never looks.
Mounts are seen by the hand and the daemons alone, and end with the last of these; the loop device clears
itself with the last mount. So nothing but the image's file has to be undone, however anybody died.

Left out on purpose: a journal that commits every five seconds, as is usual. Here it is a minute, so that what
a system did not sync is lost for certain when the power goes, not only if that was a moment ago.
"""

from __future__ import annotations

import errno
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Dict, List, NamedTuple

from harness.hand import tool
from harness.hand.context import Context, Operation, Refused, Undoer, Value
from harness.hand.patience import until

KIND = "disk"
BALLAST = "ballast"
COMMIT_S = 60
SPARE_BYTES = 64 << 20
"""What the host's own disk must have left beyond a whole image."""
FREE_LIMIT_S = 2.0
"""How long what was mounted may be held by processes that are just ending."""
POLL_S = 0.005
PROBE_BYTES = 64 << 10
KEPT = b"synced when the disk was mounted\n"


class Disk(NamedTuple):
    """Where it is on the host. `data`: the node's data directory."""

    image: Path
    mount: Path
    data: Path

    @property
    def half_made(self) -> Path:
        """The image while its file system is made."""
        return self.image.with_suffix(".new")

    @property
    def canary(self) -> Path:
        """There since the image is complete, one block, synced."""
        return self.mount / "canary"


def attach(context: Context, args: Value) -> Value:
    """See to it that the data directory `data` of `node` is on a disk of its own, of `size_bytes`, which
    works; what was in the directory moves there. `mounted`: it was not, before."""
    disk = _disk(context, args["node"], args["data"])
    context.demand_own_mounts()
    if mounts(disk) and _works(disk):
        return {"mounted": False}
    context.undo.add(KIND, {part: str(path) for part, path in disk._asdict().items()})
    unmount(disk)
    if not disk.image.exists():
        _make(disk, args["size_bytes"])
    mount(disk)
    context.state.setdefault(KIND, {})[args["node"]] = disk
    return {"mounted": True}


def fill(context: Context, args: Value) -> Value:
    """Leave no room on the disk of `node`. `free_bytes` before and after; `refused`: the error with which a
    write then failed, or nothing if it did not."""
    disk = of(context, args["node"])
    before = _free(disk)
    with open(disk.mount / BALLAST, "ab") as ballast:
        size, step = ballast.tell(), max(before, 4096)
        while step >= 512:
            try:
                os.posix_fallocate(ballast.fileno(), size, step)
                size += step
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                step //= 2
        os.fsync(ballast.fileno())
    return {"free_bytes": [before, _free(disk)], "refused": _refusal(disk)}


def empty(context: Context, args: Value) -> Value:
    """Make room again on the disk of `node`. `was_full`: until now a write failed; `free_bytes` and `refused`
    as it is now. Nothing, if the node has no disk of its own or there was room."""
    disk = context.state.get(KIND, {}).get(args["node"])
    if disk is None or not (disk.mount / BALLAST).exists():
        return {}
    was_full = _refusal(disk) == "ENOSPC"
    (disk.mount / BALLAST).unlink()
    return {"was_full": was_full, "free_bytes": _free(disk), "refused": _refusal(disk)}


def undo(args: Value) -> str:
    disk = Disk(**{part: Path(path) for part, path in args.items()})
    unmount(disk)
    disk.half_made.unlink(missing_ok=True)
    if not disk.image.exists():
        return f"{disk.image} is not there"
    if (loop := _let_go(disk.image)) is not None:
        raise Refused(f"{disk.image} is still mounted, by {loop}, where some other process sees it")
    disk.image.unlink()
    if disk.mount.exists():
        disk.mount.rmdir()
    return f"{disk.image} was removed"


def of(context: Context, node: str) -> Disk:
    found = context.state.get(KIND, {}).get(node)
    if not isinstance(found, Disk):
        raise Refused("its data have no disk of their own")
    return found


def mount(disk: Disk) -> None:
    """A journal that was left is replayed. Raises `Refused`."""
    if (loop := _let_go(disk.image)) is not None:
        raise Refused(f"{disk.image} is still in use by {loop}; harness heal ends what uses it")
    disk.mount.mkdir(parents=True, exist_ok=True)
    words = ["mount", "-t", "ext4", "-o", f"loop,commit={COMMIT_S}", str(disk.image), str(disk.mount)]
    code, _, said = tool.attempt(words)
    if code != 0:
        raise Refused(f"{_why(said)} (mounting {disk.image})")
    if not disk.canary.exists():
        _move_in(disk)
    disk.data.mkdir(parents=True, exist_ok=True)
    tool.run(["mount", "--bind", str(disk.mount / "data"), str(disk.data)])


def unmount(disk: Disk) -> None:
    """Does nothing where nothing is mounted. Raises `Refused` when it is in use, and stays so."""
    said = ""

    def is_free(path: str) -> bool:
        nonlocal said
        code, _, said = tool.attempt(["umount", path])
        return code == 0

    for path in mounts(disk):
        if not until(partial(is_free, path), FREE_LIMIT_S, POLL_S):
            raise Refused(" ".join(said.split()))


def mounts(disk: Disk) -> List[str]:
    """Where it is mounted, as this process sees it; the last mount first."""
    wanted = {str(disk.mount), os.path.realpath(disk.data)}
    found = []
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        path = line.split(" ")[4].encode().decode("unicode_escape")
        if path in wanted:
            found.append(path)
    return found[::-1]


def _disk(context: Context, node: str, data: str) -> Disk:
    disks = Path(os.path.realpath(context.home)) / "disks"
    return Disk(disks / f"{node}.img", disks / node, Path(os.path.realpath(data)))


def _make(disk: Disk, size_bytes: int) -> None:
    """The image, sparse; under its name only when it is whole."""
    disk.image.parent.mkdir(parents=True, exist_ok=True)
    needed, there = size_bytes + SPARE_BYTES, shutil.disk_usage(disk.image.parent).free
    if there < needed:
        raise Refused(
            f"{disk.image.parent} has {there >> 20} MiB free: a disk for a node's data needs {needed >> 20}"
        )
    with disk.half_made.open("wb") as file:
        file.truncate(size_bytes)
    lazily = "nodiscard,lazy_itable_init=1,lazy_journal_init=1"
    tool.run(["mkfs.ext4", "-q", "-F", "-m", "0", "-E", lazily, str(disk.half_made)])
    disk.half_made.rename(disk.image)


def _move_in(disk: Disk) -> None:
    """What the data directory holds becomes the disk's, with its owners and modes."""
    data = disk.mount / "data"
    data.mkdir(exist_ok=True)
    if disk.data.exists():
        tool.run(["cp", "-a", f"{disk.data}/.", str(data)])
        tool.run(["sync", "-f", str(data)])
    with disk.canary.open("wb") as canary:
        canary.write(KEPT)
        canary.flush()
        os.fsync(canary.fileno())


def _works(disk: Disk) -> bool:
    """It can be read and synced, though it may be full."""
    try:
        with disk.canary.open("r+b") as canary:
            os.fsync(canary.fileno())
            return canary.read() == KEPT
    except OSError:
        return False


def _refusal(disk: Disk) -> str:
    """Write as a daemon would; the name of the error."""
    probe = disk.mount / "probe"
    try:
        with probe.open("wb", buffering=0) as file:
            file.write(b"x" * PROBE_BYTES)
            os.fsync(file.fileno())
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    finally:
        if probe.exists():
            probe.unlink()
    return ""


def _free(disk: Disk) -> int:
    return shutil.disk_usage(disk.mount).free


def _let_go(image: Path) -> "str | None":
    """Wait until no loop device has the image; the one that keeps it, if it does."""

    def keeping() -> List[str]:
        return tool.run(["losetup", "-n", "-O", "NAME", "-j", str(image)]).split() if image.exists() else []

    if until(lambda: not keeping(), FREE_LIMIT_S, POLL_S):
        return None
    return next(iter(keeping()), None)


def _why(said: str) -> str:
    reason = " ".join(said.split())
    if "failed to setup loop device" in reason or "could not find any free loop" in reason:
        return f"no loop device is free: modprobe loop, or free one that losetup -a shows ({reason})"
    return reason


OPERATIONS: Dict[str, Operation] = {"disk-attach": attach, "disk-fill": fill}
UNDOERS: Dict[str, Undoer] = {KIND: undo}
