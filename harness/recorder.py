"""Writes the history down while the run goes on, so that a run which dies can still be judged.

One operation a line, in JSON. A line is on disk (synced) a second after it was recorded at the latest, as
long as somebody calls `record` or `tick`; writing and syncing happen in a thread of their own, so that
neither the event loop nor virtual time waits for the disk. A file that could not be written to its end is
cut after its last whole line.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Final

from msgspec.json import Encoder

from checkers.history import Op

FLUSH_S: Final = 0.5
"""Between two flushes, so that even one that waits for a slow one before it ends within the second."""


class RecorderError(Exception):
    """The history could not be written: one sentence that names the file and the reason."""


class Recorder:
    """`history` is everything recorded so far, whatever happened to the file. `clock` is in seconds."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.path = path
        self.history: list[Op] = []
        self._clock = clock
        self._encode = Encoder(order="deterministic").encode
        self._lines: list[bytes] = []
        self._due = clock() + FLUSH_S
        self._digest = sha256()
        self._written_bytes = 0
        self._flushing: Future[None] | None = None
        try:
            self._file: int | None = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644
            )
        except OSError as error:
            raise self._failed(error) from error
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix="recorder")

    @property
    def digest(self) -> str:
        """The SHA-256 of the file, in hex; of the whole of it once it is closed."""
        return self._digest.hexdigest()

    def record(self, op: Op) -> None:
        """Raises `RecorderError` if what was recorded before could not be written."""
        self.history.append(op)
        try:
            self._lines.append(self._encode(op))
        except (TypeError, ValueError) as error:
            raise RecorderError(
                f"operation {op.index} ({op.f}) cannot be written as JSON: {error}"
            ) from error
        if self._clock() >= self._due:
            self._flush()

    def tick(self) -> None:
        """To be called now and then, so that the last operations before a pause are written, too."""
        if self._clock() >= self._due:
            self._flush()

    def close(self) -> None:
        """Write what is left, and wait until it is on disk. Safe twice."""
        if self._file is None:
            return
        try:
            self._settled()
            self._write(self._taken())
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._writer.shutdown()
            os.close(self._file)
            self._file = None

    def _flush(self) -> None:
        try:
            if self._flushing is not None and not self._flushing.done():
                return
            self._settled()
        except OSError as error:
            raise self._failed(error) from error
        self._due = self._clock() + FLUSH_S
        if self._lines:
            self._flushing = self._writer.submit(self._write, self._taken())

    def _settled(self) -> None:
        """Wait for the flush that is under way, if any; raises what went wrong with it."""
        if self._flushing is not None:
            self._flushing.result()

    def _taken(self) -> bytes:
        lines, self._lines = self._lines, []
        return b"".join([line + b"\n" for line in lines])

    def _write(self, data: bytes) -> None:
        assert self._file is not None
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            os.fsync(self._file)
        except OSError:
            self._cut()
            raise
        self._written_bytes += len(data)
        self._digest.update(data)

    def _cut(self) -> None:
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._written_bytes)
        except OSError:
            pass  # a device, or a disk that fails altogether: readers must bear a torn last line anyway

    def _failed(self, error: OSError) -> RecorderError:
        return RecorderError(f"the history {self.path} cannot be written: {error.strerror}")
