"""Damage to the files of a node that does not run: bits turned over, an end cut off, chunks put back.

What is struck is a function of a seed and of the files' names and sizes. Every answer tells what is in the
files afterwards, read from them again. (After jepsen.nemesis.file, which does the first and the last of these
with chunks of a few files.)
"""

from __future__ import annotations

import fnmatch
import os
import random
import shutil
import stat
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Dict, Iterator, List, Tuple

from harness.hand.context import Context, Operation, Refused, Undoer, Value

KIND = "snapshot"
CHUNK_BYTES = 4096
BLOCK_BYTES = 1 << 20
SNAPSHOT_BYTES_MAX = 1 << 30
SPARE_BYTES = 64 << 20
"""What a snapshot leaves free on the host's disk."""


def flip(context: Context, args: Value) -> Value:
    """Turn over `bits` bits of the files below `data` that match `files`, each bit of all as likely as any
    other. `bits`: how many differ; `struck`: of each file, the digests before and after."""
    files = matching(Path(args["data"]), args["files"])
    total = sum(size for _, size in files) * 8
    picked = random.Random(args["seed"]).sample(range(total), min(args["bits"], total))
    struck: Dict[str, List[str]] = {}
    turned = 0
    for path, size in files:
        inside = sorted(bit for bit in picked if 0 <= bit < size * 8)
        picked = [bit - size * 8 for bit in picked if bit >= size * 8]
        if inside:
            before = digest(path)
            turned += _flip(path, inside)
            struck[str(path.relative_to(args["data"]))] = [before, digest(path)]
    return {"bits": turned, "of_bytes": total // 8, "struck": struck}


def truncate(context: Context, args: Value) -> Value:
    """Cut `bytes` bytes off the file below `data` that matches `files`, is not empty and was written to last.
    `file`, its `size` before and after, and how many of the bytes that are gone were `not_zero`."""
    files = [(path, size) for path, size in matching(Path(args["data"]), args["files"]) if size]
    if not files:
        return {}
    path, size = max(files, key=lambda found: (found[0].stat().st_mtime_ns, str(found[0])))
    with path.open("r+b") as file:
        file.seek(max(0, size - args["bytes"]))
        gone = file.read()
        file.truncate(size - len(gone))
        os.fsync(file.fileno())
    not_zero = len(gone) - gone.count(0)
    relative = str(path.relative_to(args["data"]))
    return {"file": relative, "size": [size, path.stat().st_size], "not_zero": not_zero}


def snapshot(context: Context, args: Value) -> Value:
    """Copy what is below `data` of `node`, whoever writes to it meanwhile; instead of what was copied before.
    How many `files` and `bytes`."""
    data, copy = Path(args["data"]), _copy(context, args["node"])
    needed = sum(size for _, size in matching(data, "*"))
    free = shutil.disk_usage(context.home).free
    if needed > SNAPSHOT_BYTES_MAX or needed + SPARE_BYTES > free:
        raise Refused(f"{data} has {needed >> 20} MiB, which is too much to copy: {free >> 20} MiB are free")
    context.undo.add(KIND, {"copy": str(copy)})
    _remove(copy)
    copied = [_put(path, copy / path.relative_to(data)) for path, _ in matching(data, "*")]
    return {"files": sum(size is not None for size in copied), "bytes": sum(size or 0 for size in copied)}


def roll_back(context: Context, args: Value) -> Value:
    """Put back chunks of what was copied, each with probability `fraction`, in those files below `data` that
    match `files` and were there then; they stay as long as they are. So many `bytes` differ now, in
    `chunks`, of the chunks that had `changed`."""
    data, copy = Path(args["data"]), _demand(context, args["node"])
    draw = random.Random(args["seed"])
    there = {path.relative_to(data): path for path, _ in matching(data, args["files"])}
    changed = chunks = differ = 0
    for old, _ in matching(copy, "*"):
        path = there.get(old.relative_to(copy))
        if path is None:
            continue
        with old.open("rb") as was, path.open("r+b") as now:
            for at, before, after in _changed(was, now):
                changed += 1
                if draw.random() < args["fraction"]:
                    now.seek(at)
                    now.write(before)
                    chunks += 1
                    differ += sum(before[i] != after[i] for i in range(len(before)))
            now.flush()
            os.fsync(now.fileno())
    return {"changed": changed, "chunks": chunks, "bytes": differ}


def restore(context: Context, args: Value) -> Value:
    """Make what is below `data` exactly what was copied, as one does from a backup: how many files were
    `written`, as they were not the same, and how many `removed`, as there was no such then."""
    data, copy = Path(args["data"]), _demand(context, args["node"])
    old = {path.relative_to(copy): path for path, _ in matching(copy, "*")}
    written = removed = 0
    for path, _ in matching(data, "*"):
        if path.relative_to(data) not in old:
            path.unlink()
            removed += 1
    for relative, path in old.items():
        target = data / relative
        if not target.exists() or digest(target) != digest(path):
            _put(path, target)
            written += 1
    return {"written": written, "removed": removed}


def undo(args: Value) -> str:
    copy = Path(args["copy"])
    there = copy.exists()
    _remove(copy)
    return f"{copy} {'was removed' if there else 'is not there'}"


def matching(directory: Path, pattern: str) -> List[Tuple[Path, int]]:
    """The plain files below whose names (or paths below) match, with their sizes, in the order of paths."""
    found = []
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder, name)
            relative = str(path.relative_to(directory))
            if fnmatch.fnmatchcase(name, pattern) or fnmatch.fnmatchcase(relative, pattern):
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue
                if stat.S_ISREG(status.st_mode):
                    found.append((path, status.st_size))
    return sorted(found)


def digest(path: Path) -> str:
    state = blake2b(digest_size=8)
    with path.open("rb") as file:
        for block in iter(lambda: file.read(BLOCK_BYTES), b""):
            state.update(block)
    return state.hexdigest()


def _flip(path: Path, bits: List[int]) -> int:
    """How many of them differ afterwards: all, if it went well."""
    with path.open("r+b", buffering=0) as file:
        descriptor = file.fileno()
        before = [os.pread(descriptor, 1, bit // 8)[0] >> bit % 8 & 1 for bit in bits]
        for bit in bits:
            byte = os.pread(descriptor, 1, bit // 8)[0]
            os.pwrite(descriptor, bytes([byte ^ 1 << bit % 8]), bit // 8)
        os.fsync(descriptor)
        after = [os.pread(descriptor, 1, bit // 8)[0] >> bit % 8 & 1 for bit in bits]
    return sum(was != now for was, now in zip(before, after))  # noqa: B905 (not in Python 3.8)


def _changed(was: BinaryIO, now: BinaryIO) -> Iterator[Tuple[int, bytes, bytes]]:
    """Where chunks of a file differ from what they were, what that was, and what is there. What was not there
    at all was zeros, as on a disk to which it was never written."""
    for at in range(0, os.fstat(now.fileno()).st_size, CHUNK_BYTES):
        was.seek(at)
        now.seek(at)
        after = now.read(CHUNK_BYTES)
        before = was.read(len(after)).ljust(len(after), b"\0")
        if before != after:
            yield at, before, after


def _put(source: Path, target: Path) -> "int | None":
    """Copy a file with its owner and mode; its size, None if it has gone meanwhile."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        shutil.copy2(source, target)
        status = source.stat()
    except FileNotFoundError:
        return None
    os.chown(target, status.st_uid, status.st_gid)
    return target.stat().st_size


def _copy(context: Context, node: str) -> Path:
    return context.home / "snapshots" / node


def _demand(context: Context, node: str) -> Path:
    copy = _copy(context, node)
    if not copy.exists():
        raise Refused("nothing was copied that could be put back")
    return copy


def _remove(copy: Path) -> None:
    if copy.exists():
        shutil.rmtree(copy)


OPERATIONS: Dict[str, Operation] = {
    "files-flip": flip,
    "files-truncate": truncate,
    "files-snapshot": snapshot,
    "files-roll-back": roll_back,
    "files-restore": restore,
}
UNDOERS: Dict[str, Undoer] = {KIND: undo}
