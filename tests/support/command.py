"""The commands as a user runs them: real processes, in a folder of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def environment(**extra: str) -> dict[str, str]:
    return {**os.environ, "COLUMNS": "100", "NO_COLOR": "1", **extra}


def harness(cwd: Path, *words: str, timeout_s: float = 120, **extra: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout_s,
        env=environment(**extra),
        check=False,
    )


def result_of(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one JSON object that `--json` printed."""
    assert done.stdout.count("\n") == 1, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def part(result: dict[str, Any], checker: str) -> dict[str, Any]:
    """What one of the checkers concluded."""
    (found,) = [each for each in result["verdict"]["parts"] if each["checker"] == checker]
    return dict(found)


class Running:
    """A `harness run` that is under way; killed at the end of the test if it has not ended."""

    def __init__(self, cwd: Path, *words: str) -> None:
        self.cwd = cwd
        self.process = subprocess.Popen(
            [sys.executable, "-m", "harness", "run", *words],
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment(),
        )

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def ended(self, timeout_s: float = 60) -> tuple[int, str]:
        """Its exit code and everything that it printed."""
        output, _ = self.process.communicate(timeout=timeout_s)
        return self.process.returncode, output

    def history(self) -> Path:
        return self.cwd / "runs" / "latest" / "history.jsonl"

    def recorded(self, lines: int) -> None:
        """Wait until so many events are in the history's file."""
        eventually(lambda: self.history().exists() and self.history().read_bytes().count(b"\n") >= lines)

    def nodes(self) -> dict[str, int]:
        """Its nodes' process numbers, by name."""
        found = {}
        for pid in _pids():
            words = _words(pid)
            if _parent(pid) == self.process.pid and b"store" in words:
                config = Path(words[words.index(b"--config") + 1].decode())
                found[config.stem if config.stem.startswith("n") else config.parent.name] = pid
        return found


def eventually(holds: Callable[[], bool], timeout_s: float = 30) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {timeout_s} s")
        time.sleep(0.02)


def alive(pid: int) -> bool:
    """True unless it is gone, or only waits to be reaped."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    except OSError:
        return None


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
