"""One command on a channel: its input in, its output and exit status out. Blocking, in a thread of its own.

Whatever ends a command early (its deadline, too much output, nobody wanting it any more) ends here, in the
same thread: by one signal to its process group, over a second channel, because a server does no more than
close the pipes of a command whose channel is closed.
"""

from __future__ import annotations

import os
import re
import select
import threading
import time
from contextlib import suppress
from typing import Final

import paramiko

from harness.remote import shell
from harness.remote.errors import (
    CommandError,
    CommandNotRun,
    CommandTimeout,
    ConnectionLost,
    NoRoot,
    OutputTooLong,
    RemoteError,
    one_line,
)
from harness.remote.host import Host
from harness.remote.shell import Command, Completed
from harness.remote.transport import RESCUE_LIMIT_S, end_input, lost_if_broken, open_channel

OUTPUT_BYTES_MAX: Final = 16 * 1024 * 1024
"""Of both streams together."""
BACKSTOP_S: Final = 5.0
"""So long after our own deadline the host ends the command itself, should we be gone."""
_STATUS_POLL_S: Final = 0.05
_CHUNK: Final = 256 * 1024
_SUDO_SAYS: Final = re.compile(rb"^(?:.*: )?sudo: .*", re.MULTILINE)
"""Its own words, or a shell's that does not find it."""


def end_group(transport: paramiko.Transport, host: Host, group: int, *, sudo: bool) -> None:
    """Kill a command and its children, over a channel of its own. A connection that does not even give that
    is closed."""
    try:
        with open_channel(transport, host, RESCUE_LIMIT_S) as rescue:
            rescue.settimeout(RESCUE_LIMIT_S)
            rescue.exec_command(shell.end_of_group(group, sudo=sudo))
            if not rescue.status_event.wait(RESCUE_LIMIT_S):
                transport.close()
    except (RemoteError, OSError, EOFError, paramiko.SSHException):
        transport.close()


class Execution:
    """Good for one `run`. `started` says whether the host may have been asked at all."""

    def __init__(self, host: Host, command: Command, *, sudo: bool, stdin: bytes, timeout_s: float) -> None:
        self.started = False
        self._host = host
        self._command = command
        self._sudo = sudo
        self._stdin = stdin
        self._timeout_s = timeout_s
        self._line = shell.line(command, sudo=sudo, limit_s=timeout_s + BACKSTOP_S, fed=bool(stdin))
        self._abandoned = threading.Event()
        self._bell: tuple[int, int] | None = None
        self._bell_lock = threading.Lock()
        self._stdout = bytearray()
        self._stderr = bytearray()

    def run(self, transport: paramiko.Transport) -> Completed:
        """Raises `ConnectionLost` or a `CommandError`. Unless the connection is lost, nothing of the command
        is left on the host then."""
        deadline = time.monotonic() + self._timeout_s
        with self._bell_lock:
            self._bell = os.pipe()
        try:
            channel = open_channel(transport, self._host, self._timeout_s)
            with channel:
                self._refuse_if_abandoned()
                self.started = True
                try:
                    with lost_if_broken(self._host):
                        channel.settimeout(max(0.1, deadline - time.monotonic()))
                        channel.exec_command(self._line)
                    self._feed(channel)
                    self._read(channel, deadline)
                except RemoteError:
                    self._end(transport, channel)
                    raise
                return self._completed(channel)
        finally:
            with self._bell_lock:
                for end in self._bell:
                    os.close(end)
                self._bell = None

    def abandon(self) -> None:
        """Make `run`, in its thread, end the command and fail soon."""
        self._abandoned.set()
        with self._bell_lock:
            if self._bell is not None:
                os.write(self._bell[1], b"!")

    def _feed(self, channel: paramiko.Channel) -> None:
        """A command need not read its input before it writes, so a long one has a thread of its own."""
        if not self._stdin:
            return

        def feed() -> None:
            with suppress(OSError, EOFError, paramiko.SSHException):  # it need not read it to the end, either
                channel.sendall(self._stdin)
                end_input(channel)

        threading.Thread(target=feed, name=f"input of {self._host.name}", daemon=True).start()

    def _read(self, channel: paramiko.Channel, deadline: float) -> None:
        wake = select.poll()
        wake.register(channel.fileno(), select.POLLIN)
        if self._bell is not None:
            wake.register(self._bell[0], select.POLLIN)
        while True:
            self._refuse_if_abandoned()
            ended = channel.eof_received or channel.closed
            got = self._drain(channel)
            if ended and not got:
                break
            left = deadline - time.monotonic()
            if left <= 0:
                raise self._too_late()
            if not got:
                wake.poll(left * 1000)
        while not channel.status_event.wait(_STATUS_POLL_S):  # it comes with the end of the outputs
            self._refuse_if_abandoned()
            if time.monotonic() > deadline:
                raise self._too_late()

    def _drain(self, channel: paramiko.Channel) -> bool:
        got = False
        while channel.recv_ready():
            self._stdout += channel.recv(_CHUNK)
            got = True
            self._check_length()
        while channel.recv_stderr_ready():
            self._stderr += channel.recv_stderr(_CHUNK)
            got = True
            self._check_length()
        return got

    def _check_length(self) -> None:
        if len(self._stdout) + len(self._stderr) > OUTPUT_BYTES_MAX:
            raise OutputTooLong(
                self._host.name, f"{self._command} wrote more than {OUTPUT_BYTES_MAX:,} bytes"
            )

    def _too_late(self) -> CommandTimeout:
        said = one_line(shell.announced(bytes(self._stderr))[1] or self._said())
        end = f"; it said: {said}" if said else ""
        return CommandTimeout(self._host.name, f"{self._command} took more than {self._timeout_s:g} s{end}")

    def _refuse_if_abandoned(self) -> None:
        if self._abandoned.is_set():
            raise CommandError(self._host.name, f"{self._command} was given up")

    def _end(self, transport: paramiko.Transport, channel: paramiko.Channel) -> None:
        """Leave nothing of the command on the host. A connection that does not even do that is closed."""
        if not transport.is_active():
            return
        deadline = time.monotonic() + RESCUE_LIMIT_S
        while (group := shell.announced(bytes(self._stderr[:4096]))[0]) is None and not channel.closed:
            if time.monotonic() > deadline:
                transport.close()
                return
            channel.status_event.wait(0.005)
            self._stderr += channel.recv_stderr(4096) if channel.recv_stderr_ready() else b""
        if group is not None:  # else it was over before it began
            end_group(transport, self._host, group, sudo=self._sudo)

    def _completed(self, channel: paramiko.Channel) -> Completed:
        status = channel.exit_status
        if status == -1:
            raise ConnectionLost(self._host.name, f"the connection ended while {self._command} was running")
        group, stderr = shell.announced(bytes(self._stderr))
        if group is None:
            raise self._not_run(stderr, status)
        return Completed(status, self._said(), stderr)

    def _said(self) -> bytes:
        return bytes(self._stdout).partition(shell.BEGINS)[2]

    def _not_run(self, stderr: bytes, status: int) -> CommandNotRun:
        user = self._host.user
        refusal = _SUDO_SAYS.search(stderr) if self._sudo else None
        if refusal is not None:
            why = f"sudo without a password for {user} ({one_line(refusal[0])})"
            return NoRoot(self._host.name, f"{self._command} was not run: {why}")
        first = (stderr or bytes(self._stdout)).strip().partition(b"\n")[0]
        why = f"the login shell of {user} would not ({one_line(first) or f'exit status {status}'})"
        return CommandNotRun(self._host.name, f"{self._command} was not run: {why}")
