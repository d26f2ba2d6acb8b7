"""A damaged data directory: it is condemned once, moved aside at the next start, and never deleted.

What is moved is the engine's folder as a whole, by one renaming, so that no moment leaves half of it behind.
The node then begins a new life, which the cluster must readmit; what the old one promised is not known any
more. Whoever wants to look into the old records, or runs out of copies, finds them in the quarantine.
"""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path
from typing import Final

from store.persistence.storage import RECORDS, NotOurs, StorageError, sync_directory

if sys.platform != "win32":
    import fcntl

QUARANTINES_MAX: Final = 3
"""A disk that damages more than that needs a person, and its room is not to be eaten up."""

_MARK: Final = "DAMAGED"


def condemn(directory: Path, reason: str) -> None:
    """Note that the records in `directory` are damaged, for the next start. On a disk that takes not even
    that, the next start finds out by itself, or works on."""
    mark = directory / RECORDS / _MARK
    try:
        with mark.open("w", encoding="utf-8") as file:
            file.write(reason)
            file.flush()
            os.fsync(file.fileno())
        sync_directory(mark.parent)
    except OSError:
        pass


def condemned(directory: Path) -> str | None:
    """Why an earlier run of the node has condemned the records."""
    try:
        return (directory / RECORDS / _MARK).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None


def quarantine(directory: Path, today: date) -> Path:
    """Move the records aside; where they are now. Raises `NotOurs` if another process uses them, and
    `StorageError` if they cannot be moved or too many lie there already."""
    held = sorted(directory.glob("quarantine-*"))
    if len(held) >= QUARANTINES_MAX:
        raise StorageError(
            f"data directory {directory}: holds {len(held)} quarantines already, the oldest {held[0].name}, "
            "and no more are made; see to the disk, then move them away"
        )
    try:
        _check_unused(directory)
        aside = _free_name(directory, today)
        (directory / RECORDS).rename(aside)
        sync_directory(directory)
    except OSError as error:
        raise StorageError(
            f"data directory {directory}: the damaged records cannot be moved aside: {error.strerror}"
        ) from error
    return aside


def _free_name(directory: Path, today: date) -> Path:
    number = 1
    while (aside := directory / f"quarantine-{today:%Y-%m-%d}-{number}").exists():
        number += 1
    return aside


def _check_unused(directory: Path) -> None:
    """The engine cannot be asked, as it does not open what is damaged; but it has its lock where it was."""
    lock = directory / RECORDS / "LOCK"
    if sys.platform == "win32" or not lock.exists():
        return
    with lock.open("r+b") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise NotOurs(f"data directory {directory}: is in use by another process") from None
