"""What is remembered of a lab, where, and who may change it.

A lab is a directory. Whoever brings it up or takes it down holds a lock on that directory, which the kernel
takes from him when he is killed; so a lab that is neither ready nor locked was interrupted.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from msgspec import Struct

from harness.hand.proc import Identity
from harness.lab.layout import NAME, LabError, Layout, directory_of

_FILE: Final = "state.json"
_LOCK_POLL_S: Final = 0.02


class State(Struct, frozen=True):
    """`keeper` is written before it does anything, `ready` when every host answers."""

    layout: Layout
    keeper: Identity
    ready: bool


_ENCODER: Final = msgspec.json.Encoder(enc_hook=str)
_DECODER: Final = msgspec.json.Decoder(State, dec_hook=lambda kind, text: kind(text))  # paths


def read(directory: Path) -> State | None:
    """None when nothing is written down: then nothing was started, either. Raises `LabError`."""
    try:
        return _DECODER.decode((directory / _FILE).read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        whose = "not ours, or of another version of the harness, which alone can take that lab down"
        raise LabError(f"{directory / _FILE} is {whose}: {error}") from None


def write(state: State) -> None:
    path = state.layout.directory / _FILE
    temporary = path.with_suffix(".new")
    temporary.write_bytes(_ENCODER.encode(state))
    temporary.replace(path)


def names(runtime: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in (runtime / "labs").iterdir() if NAME.match(entry.name))
    except FileNotFoundError:
        return []


@contextmanager
def locked(name: str, runtime: Path, *, wait_s: float) -> Iterator[Path]:
    """The lab's directory, which is made if need be, with its lock held. Raises `LabError`."""
    directory = directory_of(name, runtime)
    deadline = time.monotonic() + wait_s
    while (descriptor := _lock(directory)) is None:
        if time.monotonic() > deadline:
            raise LabError(f"lab {name} is just being brought up or taken down by another process")
        time.sleep(_LOCK_POLL_S)
    try:
        yield directory
    finally:
        os.close(descriptor)


def is_locked(directory: Path) -> bool:
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


def clear(directory: Path) -> None:
    """Remove what is in the directory, under its lock."""
    for entry in directory.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def remove(directory: Path) -> None:
    """Remove the directory, under its lock, and those above if no other lab is in them."""
    clear(directory)
    directory.rmdir()
    for parent in (directory.parent, directory.parent.parent):
        with suppress(OSError):
            parent.rmdir()


def _lock(directory: Path) -> int | None:
    """A descriptor that holds the lock; None if another one does, or the directory was just removed."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(directory, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(directory)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(descriptor)
    return None
