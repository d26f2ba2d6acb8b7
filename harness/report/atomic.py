"""Writing a file so that a reader finds the old one or the new one, whole, also after a crash.

The new bytes go to a temporary file beside the old one, are synced, and take its name; then the directory
is synced (rename is atomic: POSIX rename(2)).
"""

from __future__ import annotations

import os
from pathlib import Path


class ArtifactsError(Exception):
    """A file of a run could not be written or read: one sentence that names the file and the reason."""


def write_atomically(path: Path, data: bytes) -> None:
    """Raises `ArtifactsError`, and then what was at `path` is still there."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        sync_directory(path.parent)
    except OSError as error:
        _discard(temporary)
        raise ArtifactsError(f"{path} could not be written: {error.strerror or error}") from None


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable, where the system can (Windows cannot open one)."""
    if os.name != "posix":
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _discard(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError:
        pass
