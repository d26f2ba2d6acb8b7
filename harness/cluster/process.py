"""One node as a child process of the harness: start it, wait until it serves, signal it, reap it.

No node outlives the harness, however that ends: the node holds the reading end of a pipe and stops at its
end, and Linux kills it when its parent dies (which needs no cooperation, so it ends a frozen node too).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import trio

from harness.cluster.base import ClusterError
from harness.hand.patience import Patience

READY_LIMIT_S: Final = 20.0
"""How long a node may take from its start until it serves."""
SIGNAL_LIMIT_S: Final = 2.0
"""How long a signal may take to show its effect."""
_POLL_S: Final = 0.005
_LINE_BYTES_MAX: Final = 4096
_LOG_TAIL_BYTES: Final = 2000
_LOG_TAIL_LINES: Final = 3


class _Ready(msgspec.Struct):
    """The line that a node writes to its standard output once it serves."""

    event: str
    host: str
    port: int


class NodeProcess:
    """Make it in the main thread: Linux kills a node when the thread that started it is no more."""

    def __init__(self, node: str, config: Path, log: Path) -> None:
        """Raises `ClusterError`."""
        self.node = node
        self.condemned = False
        """It was told to end, so its end is no surprise."""
        self._log = log
        try:
            with log.open("ab") as stderr:
                self._log_start = stderr.tell()
                self._popen = subprocess.Popen(
                    [
                        sys.executable,
                        "-P",
                        "-m",
                        "store",
                        "node",
                        "--config",
                        str(config),
                        "--die-with-parent",
                    ],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                )
        except OSError as error:
            raise ClusterError(f"node {node} cannot be started: {error}") from None

    @property
    def pid(self) -> int:
        return self._popen.pid

    def status(self) -> int | None:
        """None while it runs; then its exit status, or minus the signal that ended it."""
        return self._popen.poll()

    async def ready(self) -> tuple[str, int]:
        """Wait until it serves, and where; raises `ClusterError` if it ends first or takes too long."""
        with trio.move_on_after(READY_LIMIT_S):
            line = await self._first_line()
            try:
                ready = msgspec.json.decode(line, type=_Ready)
            except msgspec.DecodeError:
                pass
            else:
                return ready.host, ready.port
            status = await self.ended()
            raise ClusterError(f"node {self.node} did not start ({_ending(status)}): {self._log_tail()}")
        raise ClusterError(f"node {self.node} does not serve after {READY_LIMIT_S:g} s: {self._log_tail()}")

    def send(self, number: signal.Signals) -> None:
        """Signal it, if it has not ended."""
        self.condemned |= number in (signal.SIGKILL, signal.SIGTERM)
        self._popen.send_signal(number)

    async def ended(self, within_s: float = SIGNAL_LIMIT_S) -> int | None:
        """Wait for its end and reap it; its exit status, or None if it does not end."""
        await comes_true(lambda: self.status() is not None, within_s)
        return self.status()

    async def stopped(self, expected: bool) -> bool:
        """Wait until the system shows that it is stopped, or is not; False if it does not come to that."""
        return await comes_true(lambda: self.is_stopped() == expected, SIGNAL_LIMIT_S)

    def is_stopped(self) -> bool:
        """True if the system says that it is frozen."""
        return process_state(self.pid) == "T"

    def obituary(self) -> str:
        """How it ended, in a sentence; for a process that has."""
        return f"node {self.node} {_ending(self.status())}: {self._log_tail()}"

    def close(self) -> None:
        """Close our ends of its pipes: a node that still runs then ends by itself."""
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe is not None:
                pipe.close()

    async def _first_line(self) -> bytes:
        """What it first writes to its standard output, up to the end of the line or of the output."""
        assert self._popen.stdout is not None
        descriptor = self._popen.stdout.fileno()
        line = b""
        while not line.endswith(b"\n") and len(line) < _LINE_BYTES_MAX:
            await trio.lowlevel.wait_readable(descriptor)
            piece = os.read(descriptor, _LINE_BYTES_MAX)
            if not piece:
                break
            line += piece
        return line

    def _log_tail(self) -> str:
        """What its log last said."""
        try:
            with self._log.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _LOG_TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except OSError as error:
            return f"its log {self._log} cannot be read: {error.strerror}"
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return " / ".join(lines[-_LOG_TAIL_LINES:]) or f"its log {self._log} is empty"


async def comes_true(condition: Callable[[], bool], within_s: float) -> bool:
    """Look every few milliseconds, for `within_s` of our own time; False if it was never so."""
    patience = Patience(within_s, trio.current_time)
    while not condition():
        if patience.is_over():
            return False
        await trio.sleep(_POLL_S)
    return True


def _ending(status: int | None) -> str:
    if status is None:
        return "is still running"
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with exit status {status}"


def process_state(pid: int) -> str:
    """One letter, as in ps: R, S, D, T, Z...; empty for a process that is no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        if sys.platform == "linux":
            return ""
        listed = subprocess.run(
            ["ps", "-o", "state=", "-p", str(pid)], capture_output=True, text=True, check=False
        )
        return listed.stdout.strip()[:1]
    return stat[stat.rindex(")") + 2]
