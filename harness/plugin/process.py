"""One node of somebody's service as a child process: start it, wait until it listens, signal it, reap it.

It is a process group of its own, and signals go to the group: a service may have workers. On Linux they also
go to those that left the group, which are known by a tag in the environment that they were started with.
"""

from __future__ import annotations

import os
import re
import secrets
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import trio

from harness.cluster.base import ClusterError
from harness.cluster.process import comes_true, process_state
from harness.hand.proc import TAG, carries, see_all
from harness.plugin import mortal
from harness.plugin.node import Node

ENDED_S: Final = 5.0
_POLL_S: Final = 0.02
_TAIL_BYTES: Final = 2000
_TAIL_LINES: Final = 5
_CONTROLS: Final = re.compile(r"\x1b\[[0-9;:?]*[ -/]*[@-~]|[\x00-\x08\x0e-\x1f\x7f]")
"""Colours and the like (ECMA-48, section 5.4): a report is no terminal."""


class ServiceProcess:
    """Make it in a thread that stays: Linux kills it when that one ends. Both its outputs go to `log`."""

    def __init__(self, node: Node, argv: Sequence[str], env: Mapping[str, str], cwd: Path, log: Path) -> None:
        """Raises `ClusterError`."""
        self.node = node
        self.condemned = False
        """It was told to end, so its end is no surprise."""
        self._log = log
        self._tag = secrets.token_hex(8)
        try:
            with log.open("ab") as output:
                self._log_start = output.tell()
                self._popen = subprocess.Popen(
                    [sys.executable, "-I", "-S", str(mortal.__file__), str(os.getpid()), *argv],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env={**os.environ, **env, TAG: self._tag},
                    cwd=cwd,
                    start_new_session=True,
                )
        except OSError as error:
            raise ClusterError(f"{node.name} cannot be started: {error}") from None

    def status(self) -> int | None:
        """None while it runs; then its exit status, or minus the signal that ended it."""
        return self._popen.poll()

    async def listens(self, within_s: float) -> None:
        """Wait until it accepts connections; raises `ClusterError` if it ends first or takes too long."""
        with trio.move_on_after(within_s):
            while self.status() is None:
                try:
                    stream = await trio.open_tcp_stream(self.node.host, self.node.port)
                except OSError:
                    await trio.sleep(_POLL_S)
                else:
                    await trio.aclose_forcefully(stream)
                    return
            raise ClusterError(self.obituary())
        raise ClusterError(
            f"{self.node.name} does not accept connections at {self.node.address} after {within_s:g} s: "
            f"{self.log_tail()}"
        )

    def send(self, number: signal.Signals) -> None:
        """Signal it and what it started, if there is anything left of it."""
        self.condemned |= number in (signal.SIGKILL, signal.SIGTERM)
        with suppress(ProcessLookupError):
            os.killpg(self._popen.pid, number)
        for pid in self._left():
            with suppress(OSError):  # it has ended, or became somebody else's
                if os.getpgid(pid) != self._popen.pid:
                    os.kill(pid, number)

    async def ended(self, within_s: float = ENDED_S) -> int | None:
        """Wait for its end, and on Linux also for that of what it started, and reap it; its exit status, or
        None if one of them does not end."""
        over = await comes_true(lambda: self.status() is not None and not self._left(), within_s)
        return self.status() if over else None

    async def stopped(self, expected: bool) -> bool:
        """Wait until the system shows that it is stopped, or is not; False if it does not come to that."""
        return await comes_true(lambda: self.is_stopped() == expected, ENDED_S)

    def is_stopped(self) -> bool:
        return self.status() is None and process_state(self._popen.pid) == "T"

    def _left(self) -> list[int]:
        """What still runs of its session, and of what carries its tag; on Linux."""
        if sys.platform != "linux":
            return []
        own = self._popen.pid
        return [pid for pid, seen in see_all().items() if seen.session == own or carries(pid, self._tag)]

    def obituary(self) -> str:
        """How it ended, in a sentence; for a process that has."""
        status = self.status() or 0
        how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
        return f"{self.node.name} ended by itself ({how}): {self.log_tail()}"

    def log_tail(self) -> str:
        """What it last said."""
        try:
            with self._log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError as error:
            return f"its log {self._log} cannot be read: {error.strerror}"
        text = _CONTROLS.sub("", text)
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " / ".join(lines[-_TAIL_LINES:]) or "it said nothing"
