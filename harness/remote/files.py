"""One file to or from a host by SFTP, whole or not at all. Blocking, in a thread of its own."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import paramiko

from harness.remote.errors import RemoteError, TransferError, reason
from harness.remote.host import Host
from harness.remote.transport import RESCUE_LIMIT_S, open_channel

FILE_MODE: Final = 0o644
IDLE_LIMIT_S: Final = 20.0
"""A transfer that does not move for so long has failed."""

Progress = Callable[[int, int], None]


class Transfer:
    """Good for one file."""

    def __init__(self, host: Host, timeout_s: float, progress: Progress | None) -> None:
        self._host = host
        self._timeout_s = timeout_s
        self._progress = progress
        self._channel: paramiko.Channel | None = None
        self._ended_because = ""

    def upload(self, transport: paramiko.Transport, here: Path, there: str, mode: int) -> None:
        """Raises `TransferError` or `ConnectionLost`."""
        part = f"{there}.{secrets.token_hex(4)}.part"
        with self._limited(f"{here} could not be sent to {there}"):
            try:
                sftp = self._open(transport)
                sftp.put(str(here), part, self._progress)  # it compares the sizes at the end
                sftp.chmod(part, mode)
                sftp.posix_rename(part, there)
            except BaseException:
                self._remove(transport, part)
                raise

    def download(self, transport: paramiko.Transport, there: str, here: Path) -> None:
        """Raises `TransferError` or `ConnectionLost`."""
        part = here.with_name(f".{here.name}.{secrets.token_hex(4)}.part")
        with self._limited(f"{there} could not be fetched to {here}"):
            try:
                self._open(transport).get(there, str(part), self._progress)
                part.replace(here)
            except BaseException:
                part.unlink(missing_ok=True)
                raise

    def abandon(self) -> None:
        """Make the transfer fail soon, from another thread."""
        self._end("it was given up")

    @contextmanager
    def _limited(self, what: str) -> Iterator[None]:
        timer = threading.Timer(self._timeout_s, self._end, [f"it took more than {self._timeout_s:g} s"])
        timer.daemon = True
        timer.start()
        try:
            yield
        except (OSError, EOFError, paramiko.SSHException) as error:
            why = self._ended_because or reason(error)
            raise TransferError(self._host.name, f"{what}: {why}") from None
        finally:
            timer.cancel()
            if self._channel is not None:
                self._channel.close()

    def _open(self, transport: paramiko.Transport) -> paramiko.SFTPClient:
        channel = open_channel(transport, self._host, IDLE_LIMIT_S)
        self._channel = channel
        if self._ended_because:
            raise OSError(self._ended_because)
        channel.settimeout(IDLE_LIMIT_S)
        channel.invoke_subsystem("sftp")
        return paramiko.SFTPClient(channel)

    def _end(self, why: str) -> None:
        self._ended_because = self._ended_because or why
        if self._channel is not None:
            self._channel.close()

    def _remove(self, transport: paramiko.Transport, part: str) -> None:
        """As far as that is possible, over a channel of its own: that of the transfer may be closed."""
        with (
            suppress(RemoteError, OSError, EOFError, paramiko.SSHException),
            open_channel(transport, self._host, RESCUE_LIMIT_S) as channel,
        ):
            channel.settimeout(RESCUE_LIMIT_S)
            channel.invoke_subsystem("sftp")
            paramiko.SFTPClient(channel).remove(part)
