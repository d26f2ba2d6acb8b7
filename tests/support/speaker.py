"""Hands as processes of this machine, spoken with over pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from tests.support.machine import living

PATIENCE_S: Final = 20
FOREVER_S: Final = 600.0
PYTHON: Final = (sys.executable, "-S")
"""Without what is installed, of which a hand needs nothing."""


class Speaker:
    """The harness' side of one conversation with a hand."""

    def __init__(self, process: subprocess.Popen[bytes], asked: int = 0) -> None:
        self.process = process
        self.asked = asked

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def hear(self) -> Any:
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline() or b"null")

    def ask(self, operation: str, **args: object) -> Any:
        self.asked += 1
        self.say(json.dumps({"n": self.asked, "operation": operation, "args": args}).encode())
        answer = self.hear()
        assert answer.pop("n") == self.asked
        return answer

    def hang_up(self) -> None:
        """Both ways, with nothing read that was said."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def hand_in(home: Path, program: Path, silence_s: float = FOREVER_S) -> Iterator[Speaker]:
    home.mkdir(exist_ok=True)
    argv = [*PYTHON, str(program), "serve", str(home), str(silence_s)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        workers = set()
        try:
            yield Speaker(process)
            workers = children(process.pid)
        finally:
            for pid in workers | {process.pid}:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(BrokenPipeError):
                process.stdin.close() if process.stdin is not None else None


@contextmanager
def attached(home: Path, program: Path, token: str, asked: int = 0) -> Iterator[Speaker]:
    """Whoever comes to a hand that is at work there."""
    argv = [*PYTHON, str(program), "attach", str(home)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            speaker = Speaker(process, asked)
            speaker.say(token.encode())
            yield speaker
        finally:
            process.kill()
            with suppress(BrokenPipeError):
                process.stdin.close() if process.stdin is not None else None


def children(pid: int) -> set[int]:
    return {child for child, parent in living().items() if parent == pid}


def until(fact: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not fact():
        assert time.monotonic() < deadline
        time.sleep(0.005)
