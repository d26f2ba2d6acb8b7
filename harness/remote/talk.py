"""A command that is talked with, line by line, for as long as it runs: `Connection.talk`.

It has no deadline of its own. When its input ends it is expected to end, too; what then still runs of its
process group is killed, as with any command. A thread of its own reads what it says; nothing waits for it in
there, so asking never blocks reading.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final

import paramiko
import trio

from harness.remote import shell
from harness.remote.command import OUTPUT_BYTES_MAX, end_group
from harness.remote.errors import (
    CommandFailed,
    CommandNotRun,
    ConnectionLost,
    OutputTooLong,
    RemoteError,
    one_line,
)
from harness.remote.host import Host
from harness.remote.shell import Command, Completed
from harness.remote.transport import end_input, lost_if_broken, open_channel

LEAVE_S: Final = 2.0
"""How long a command may go on after the end of its input before it is killed."""
_STATUS_LIMIT_S: Final = 5.0
_LINE_BYTES: Final = 64
"""What a line costs beyond what is in it."""
_CHUNK: Final = 256 * 1024


class Talk:
    """`send` may be used by several tasks, and `send_now` by any thread; `receive` by one task."""

    def __init__(self, host: Host, command: Command, *, sudo: bool, left: Callable[[], None]) -> None:
        """`left` is called once, when nothing is left of it."""
        self._host = host
        self._command = command
        self._sudo = sudo
        self._left = left
        self._token = trio.lowlevel.current_trio_token()
        self._lines_in, self._lines = trio.open_memory_channel[bytes](math.inf)
        self._unread_bytes = 0
        self._end: RemoteError | None = None
        self._over = trio.Event()
        self._sending = threading.Lock()
        self._channel: paramiko.Channel | None = None
        self._transport: paramiko.Transport | None = None
        self._abandoned = False

    async def __aenter__(self) -> Talk:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    # For `Connection.talk` ---------------------------------------------------------------------------

    def open(self, transport: paramiko.Transport) -> None:
        """In a thread: start the command; raises `ConnectionLost`, before it was asked for or (`started`)
        after."""
        line = shell.line(self._command, sudo=self._sudo, limit_s=None)
        channel = open_channel(transport, self._host, math.inf)
        self._channel, self._transport = channel, transport
        try:
            if self._abandoned:
                raise ConnectionLost(self._host.name, f"{self._command} was given up")
            with lost_if_broken(self._host):
                channel.exec_command(line)
        except BaseException:
            channel.close()
            raise
        threading.Thread(target=self._read, name=f"talk with {self._host.name}", daemon=True).start()

    def leave(self) -> None:
        """In trio: it is over, or never came about."""
        left, self._left = self._left, lambda: None
        left()

    def abandon(self) -> None:
        """From any thread: close its channel."""
        self._abandoned = True
        if self._channel is not None:
            self._channel.close()

    @property
    def started(self) -> bool:
        """Whether the host may have been asked at all."""
        return self._channel is not None

    # What its users do -----------------------------------------------------------------------------

    async def send(self, line: bytes) -> None:
        """A line without its end. Raises `ConnectionLost` when nobody is there to hear it."""
        await trio.to_thread.run_sync(self.send_now, line, abandon_on_cancel=True)

    def send_now(self, line: bytes) -> None:
        """As `send`, blocking, from any thread."""
        assert self._channel is not None
        with self._sending, lost_if_broken(self._host):
            self._channel.sendall(line + b"\n")

    async def receive(self) -> bytes | None:
        """The next line, without its end; None once the command has ended well. Raises `CommandFailed` when
        it ended otherwise, `CommandNotRun` when it never began, `ConnectionLost`, or `OutputTooLong`, and
        then what was not read is dropped."""
        try:
            line = await self._lines.receive()
        except (trio.EndOfChannel, trio.ClosedResourceError):
            if self._end is None:
                return None
            raise self._end from None
        self._unread_bytes -= len(line) + _LINE_BYTES
        return line

    async def aclose(self) -> None:
        """End its input, and after `LEAVE_S` all of it. What has left its process group stays."""
        assert self._channel is not None
        with trio.CancelScope(shield=True):
            with suppress(OSError, EOFError, paramiko.SSHException):
                await trio.to_thread.run_sync(end_input, self._channel)
            with trio.move_on_after(LEAVE_S):
                await self._over.wait()
            if not self._over.is_set():
                await trio.to_thread.run_sync(self._kill)
                await self._over.wait()
        self._lines.close()

    # The thread that reads -------------------------------------------------------------------------

    def _read(self) -> None:
        assert self._channel is not None
        rest, begun = bytearray(), False
        end: RemoteError | None
        try:
            with lost_if_broken(self._host):
                while data := self._channel.recv(_CHUNK):
                    rest += data
                    if len(rest) > OUTPUT_BYTES_MAX:
                        raise self._too_long()
                    if not begun:
                        _, begins, after = rest.partition(shell.BEGINS)
                        if not begins:
                            continue
                        begun, rest, data = True, after, bytes(after)
                    if b"\n" in data:
                        *lines, rest = rest.split(b"\n")
                        self._in_trio(self._arrived, [bytes(line) for line in lines])
            end = self._how_it_ended()
        except RemoteError as error:
            end = error
        self._channel.close()
        self._in_trio(self._ended, end)

    def _how_it_ended(self) -> RemoteError | None:
        assert self._channel is not None
        self._channel.status_event.wait(_STATUS_LIMIT_S)
        status = self._channel.exit_status
        if status == -1:
            return ConnectionLost(self._host.name, f"the connection ended while {self._command} was running")
        group, stderr = shell.announced(self._said())
        if group is None:
            said = one_line(stderr) or f"exit status {status}"
            return CommandNotRun(self._host.name, f"{self._command} was not run: {said}")
        if status != 0:
            return CommandFailed(self._host.name, str(self._command), Completed(status, b"", stderr))
        return None

    def _said(self) -> bytes:
        assert self._channel is not None
        said = b""
        while self._channel.recv_stderr_ready():
            said += self._channel.recv_stderr(_CHUNK)
        return said

    def _kill(self) -> None:
        assert self._channel is not None
        assert self._transport is not None
        group, _ = shell.announced(self._said())
        if group is not None and self._transport.is_active():
            end_group(self._transport, self._host, group, sudo=self._sudo)
        self._channel.close()

    def _in_trio(self, act: Callable[..., object], *args: object) -> None:
        with suppress(trio.RunFinishedError):
            self._token.run_sync_soon(act, *args)

    # In trio, for that thread ----------------------------------------------------------------------

    def _arrived(self, lines: list[bytes]) -> None:
        if self._end is not None:
            return
        for line in lines:
            self._unread_bytes += len(line) + _LINE_BYTES
            with suppress(trio.BrokenResourceError):  # nobody wants to hear it any more
                self._lines_in.send_nowait(line)
        if self._unread_bytes > OUTPUT_BYTES_MAX:
            self._end = self._too_long()
            self._lines.close()
            self.abandon()

    def _ended(self, end: RemoteError | None) -> None:
        self._end = self._end or end
        self._lines_in.close()
        self._over.set()
        self.leave()

    def _too_long(self) -> OutputTooLong:
        return OutputTooLong(
            self._host.name, f"{self._command} said more than {OUTPUT_BYTES_MAX:,} bytes, unread"
        )
