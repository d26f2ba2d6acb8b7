"""The undo log: what must be undone is on disk before it is done.

One JSON object a line: `{"n": 3, "kind": "iptables", "args": {...}}` before something is changed, and
`{"done": 3}` once that is undone. Whoever writes is killed at any byte, or finds the disk full: a line that
was cut off in the middle stands for something that was never begun.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any, Dict, List, NamedTuple

UNREADABLE = "unreadable"
"""The kind of an entry for a line that is whole and makes no sense: nobody can undo it, so it stays until the
log is set aside. Its number is that of the line, negative."""


class Entry(NamedTuple):
    n: int
    kind: str
    args: Dict[str, Any]


class UndoLog:
    """At most one process uses it at a time. Every method's effect is on the disk when it returns; one that
    raises `OSError` had none."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._open: Dict[int, Entry] = {}
        self._last = 0
        self._read()

    def open(self) -> List[Entry]:
        """What is not undone yet, oldest first."""
        return [self._open[n] for n in sorted(self._open)]

    def add(self, kind: str, args: Dict[str, Any]) -> int:
        """Write down how to undo what is about to be done. An entry that is open already is not written
        again; its number."""
        line = json.dumps({"n": self._last + 1, "kind": kind, "args": args})
        wanted = Entry(**json.loads(line))
        for entry in self._open.values():
            if (entry.kind, entry.args) == (wanted.kind, wanted.args):
                return entry.n
        self._last = wanted.n  # first, for should we be interrupted no other entry may have that number
        self._append(line)
        self._open[wanted.n] = wanted
        return wanted.n

    def done(self, n: int) -> None:
        if n not in self._open:
            return
        if len(self._open) > 1:
            self._append(json.dumps({"done": n}))
        else:
            self.path.unlink(missing_ok=True)
            _sync(self.path.parent)
        del self._open[n]

    def set_aside(self) -> Path:
        """Put the file out of the way, in place of one that was before: where it is. Here nothing is open any
        more."""
        aside = self.path.with_name(f"{self.path.name}.{UNREADABLE}")
        self.path.replace(aside)
        _sync(self.path.parent)
        self._open.clear()
        return aside

    def _read(self) -> None:
        try:
            lines = self.path.read_bytes().split(b"\n")
        except FileNotFoundError:
            return
        for number, line in enumerate(lines[:-1], 1):
            try:
                value = json.loads(line)
                if "done" in value:
                    self._open.pop(value["done"], None)
                else:
                    entry = Entry(int(value["n"]), str(value["kind"]), dict(value["args"]))
                    self._open[entry.n] = entry
                    self._last = max(self._last, entry.n)
            except Exception:  # anything may stand there
                text = line.decode(errors="backslashreplace")
                self._open[-number] = Entry(-number, UNREADABLE, {"line": text})
        if lines[-1]:
            os.truncate(self.path, sum(len(line) + 1 for line in lines[:-1]))

    def _append(self, line: str) -> None:
        created = not self.path.exists()
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            length = os.fstat(descriptor).st_size
            data = line.encode() + b"\n"
            try:
                if os.write(descriptor, data) != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, length)
                raise
        finally:
            os.close(descriptor)
        if created:
            _sync(self.path.parent)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
