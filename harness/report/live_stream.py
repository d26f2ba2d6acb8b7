"""The first anomaly of a run while it goes on, from the process that looks for it (`harness/follow.py`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

MODULE: Final = "harness.follow"


class Follower:
    """The process, from the side of the run. A run is no worse for one that does not start."""

    def __init__(self, run_dir: Path) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", MODULE, str(run_dir.resolve())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:
            return
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)

    def found(self) -> str | None:
        """The first anomaly, in a sentence, once; None: none yet."""
        if self._process is None or self._process.stdout is None:
            return None
        line = self._process.stdout.readline()
        return line.decode(errors="replace").strip() or None if line else None

    def close(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process = None
