"""Which runs there are below a directory, and which of their files may be read: regular files that are really
in there, whatever a link or a name says."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from harness.report.artifacts import RunDir

FILES_MAX: Final = 500
"""So many files of a run are listed."""
RECORDS: Final = ("history.jsonl", "faults.json", "results.json")
DEPTHS: Final = (2, 3)
"""So many names lead to a run: WORKLOAD/TIME, or demo-NAME/PART/TIME and pytest/TEST/TIME."""

Name = tuple[str, ...]
"""The names that lead to a run from the directory of all."""


def runs(root: Path) -> list[Name]:
    """Every directory that holds a plan, the newest first. One that is reached by a link, or whose records
    are links or no files, is not one; nor is one inside of another."""
    return sorted(_below(root, ()), key=lambda name: name[::-1], reverse=True)


def _below(folder: Path, name: Name) -> Iterator[Name]:
    if len(name) in DEPTHS and _holds_a_run(folder):
        yield name
    elif len(name) < max(DEPTHS):
        for inner in _folders(folder):
            yield from _below(folder / inner, (*name, inner))


def run_dir(root: Path, name: Sequence[str]) -> RunDir | None:
    """The run of that name; None if there is none."""
    if len(name) not in DEPTHS or not all(map(_is_name, name)):
        return None
    run = root
    for part in name:
        run = run / part
        if _kind(run) != stat.S_IFDIR:
            return None
    return RunDir(run) if _holds_a_run(run) else None


def files(run: RunDir) -> list[tuple[str, int]]:
    """(path in the run, bytes) of its files."""
    found: list[tuple[str, int]] = []
    for folder, _, names in os.walk(run.path):  # does not follow links
        for name in sorted(names):
            path = Path(folder, name)
            try:
                status = path.lstat()
            except OSError:  # a run that goes on removes files, too
                continue
            if stat.S_ISREG(status.st_mode):
                found.append((path.relative_to(run.path).as_posix(), status.st_size))
            if len(found) == FILES_MAX:
                return sorted(found)
    return sorted(found, key=lambda file: ("/" in file[0], file[0]))


def opened(run: RunDir, name: str) -> tuple[IO[bytes], int] | None:
    """One of its files, open, and its size; None if there is no such regular file in there. Each part of the
    name is opened in the directory before it, and none may be a link, so nothing can change in between."""
    parts = name.split("/")
    if not all(map(_is_name, parts)):
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


def _is_name(part: str) -> bool:
    """Whether it can name something in a directory, and nothing else."""
    return part not in ("", ".", "..") and not {"/", "\0"} & set(part)


def _folders(path: Path) -> list[str]:
    """The names of the directories in one; none if it cannot be read."""
    try:
        with os.scandir(path) as entries:
            return [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return []


def _holds_a_run(folder: Path) -> bool:
    return _kind(folder / "plan.json") == stat.S_IFREG and all(
        _kind(folder / record) in (None, stat.S_IFREG) for record in RECORDS
    )


def _kind(path: Path) -> int | None:
    """What kind of thing it is itself, as in `stat`; None: nothing that can be looked at."""
    try:
        return stat.S_IFMT(path.lstat().st_mode)
    except OSError:
        return None
