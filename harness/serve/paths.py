"""Which runs there are below a directory, and which of their files may be read: regular files that are really
in there, whatever a link or a name says."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import IO, Final

from harness.report.artifacts import RunDir

FILES_MAX: Final = 500
"""So many files of a run are listed."""


def runs(root: Path) -> list[tuple[str, str]]:
    """(workload, time) of every directory that holds a plan, the newest first. One that is reached by a link,
    or whose records are links, is not one."""
    found = [
        (run.parent.name, run.name)
        for run in root.glob("*/*")
        if (run / "plan.json").is_file()
        and not any(map(Path.is_symlink, (run.parent, run, *run.glob("*.json*"))))
    ]
    return sorted(found, key=lambda run: run[::-1], reverse=True)


def run_dir(root: Path, workload: str, time: str) -> RunDir | None:
    """The run of that name; None if there is none."""
    return RunDir(root / workload / time) if (workload, time) in runs(root) else None


def files(run: RunDir) -> list[tuple[str, int]]:
    """(path in the run, bytes) of its files."""
    found: list[tuple[str, int]] = []
    for folder, _, names in os.walk(run.path):  # does not follow links
        for name in sorted(names):
            path = Path(folder, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                found.append((path.relative_to(run.path).as_posix(), status.st_size))
            if len(found) == FILES_MAX:
                return sorted(found)
    return sorted(found, key=lambda file: ("/" in file[0], file[0]))


def opened(run: RunDir, name: str) -> tuple[IO[bytes], int] | None:
    """One of its files, open, and its size; None if there is no such regular file in there. Each part of the
    name is opened in the directory before it, and none may be a link, so nothing can change in between."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        return None
    try:
        directory = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        for part in parts[:-1]:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=directory)
            os.close(directory)
            directory = inner
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        file = os.open(parts[-1], flags, dir_fd=directory)
    except OSError:
        return None
    finally:
        os.close(directory)
    status = os.fstat(file)
    if not stat.S_ISREG(status.st_mode):
        os.close(file)
        return None
    return os.fdopen(file, "rb"), status.st_size
