"""What the harness uses: one connection to one host, for many commands and files at once.

paramiko blocks, so everything runs in threads; a task that is cancelled lets its thread end the command (or
transfer) first. A command is never asked twice: only when it certainly did not start is it tried again, over
a new connection.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Final, TypeVar

import paramiko
import trio

from harness.remote.command import Execution
from harness.remote.errors import CommandFailed, ConnectionLost, Unreachable
from harness.remote.files import FILE_MODE, Progress, Transfer
from harness.remote.host import Host
from harness.remote.shell import Command, Completed
from harness.remote.talk import Talk
from harness.remote.transport import connect

CHANNELS_MAX: Final = 8
"""sshd allows ten a connection unless told otherwise; two are left for ending commands."""
COMMAND_LIMIT_S: Final = 30.0
TRANSFER_LIMIT_S: Final = 300.0
RECONNECT_S: Final = 10.0
"""How long a connection that was lost is tried again."""
_PAUSE_MIN_S: Final = 0.1
_PAUSE_MAX_S: Final = 2.0
_GIVE_UP_S: Final = 5.0
"""How long a cancelled task waits for its thread."""

T = TypeVar("T")


class Connection:
    """Made at once, connected with the first use or `connect`. The first time that is tried once, so that a
    wrong address is told at once; a connection that was there and got lost is tried again with growing
    pauses for `RECONNECT_S`. It is lost when the host acknowledges nothing for `silence_s` (and at most
    `SILENCE_LIMIT_S`). Any number of tasks may use it."""

    def __init__(self, host: Host, silence_s: float = math.inf) -> None:
        self.host = host
        self._silence_s = silence_s
        self._transport: paramiko.Transport | None = None
        self._connecting = trio.Lock()
        self._channels = trio.CapacityLimiter(CHANNELS_MAX)

    async def __aenter__(self) -> Connection:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def connect(self) -> None:
        """Raises `Unreachable`, `HostKeyError` or `Refused`."""
        await self._connected()

    async def aclose(self) -> None:
        """Commands that still run fail with `ConnectionLost`. It can be used again, and connects anew."""
        transport, self._transport = self._transport, None
        if transport is not None:
            await _close(transport)

    async def run(
        self,
        command: Sequence[str] | Command,
        *,
        sudo: bool = False,
        stdin: bytes = b"",
        timeout_s: float = COMMAND_LIMIT_S,
        check: bool = True,
    ) -> Completed:
        """Run a command to its end, which is also that of whoever holds its outputs open. With `sudo` as root
        (a user root needs none, and has none). `timeout_s` is from its start; connecting has its own limits.

        Raises a `RemoteError`; `CommandFailed` only with `check`. After `CommandTimeout`, `OutputTooLong` and
        when cancelled, the command and its children have been killed; after `ConnectionLost` the host kills
        them when its own deadline, a little later than ours, is over."""
        wanted = command if isinstance(command, Command) else Command(tuple(command))
        as_root = sudo and self.host.user != "root"
        async with self._channels:
            for last in (False, True):
                transport = await self._connected()
                execution = Execution(self.host, wanted, sudo=as_root, stdin=stdin, timeout_s=timeout_s)
                try:
                    completed = await _in_thread(partial(execution.run, transport), execution.abandon)
                    break
                except ConnectionLost:
                    if execution.started:
                        raise
                    await _close(transport)  # it gives no channel, so it is of no use to others, either
                    if last:
                        raise
        if check and completed.exit != 0:
            raise CommandFailed(self.host.name, str(wanted), completed)
        return completed

    async def talk(self, command: Sequence[str] | Command, *, sudo: bool = False) -> Talk:
        """Start a command that is spoken with while it runs; it keeps one of the connection's channels until
        it has ended. To be closed by whoever asked for it. Raises what `connect` raises; that the command
        itself fails is told by `Talk.receive`."""
        wanted = command if isinstance(command, Command) else Command(tuple(command))
        as_root = sudo and self.host.user != "root"
        borrower = object()
        await self._channels.acquire_on_behalf_of(borrower)
        left = partial(self._channels.release_on_behalf_of, borrower)
        talk = Talk(self.host, wanted, sudo=as_root, left=left)
        try:
            for last in (False, True):
                transport = await self._connected()
                try:
                    await _in_thread(partial(talk.open, transport), talk.abandon)
                    return talk
                except ConnectionLost:
                    if talk.started or last:
                        raise
                    await _close(transport)
        except BaseException:
            talk.leave()
            raise
        raise AssertionError("unreachable")

    async def upload(
        self,
        here: Path,
        there: str,
        *,
        mode: int = FILE_MODE,
        progress: Progress | None = None,
        timeout_s: float = TRANSFER_LIMIT_S,
    ) -> None:
        """Whoever opens `there` finds the old file or the new one, whole. `progress` is called in a thread
        with the bytes done and all bytes. Raises `TransferError`, or what `connect` raises."""
        transfer = Transfer(self.host, timeout_s, progress)
        await self._transfer(transfer, lambda transport: transfer.upload(transport, here, there, mode))

    async def download(
        self, there: str, here: Path, *, progress: Progress | None = None, timeout_s: float = TRANSFER_LIMIT_S
    ) -> None:
        """As `upload`, the other way; `here` gets the mode of a new file."""
        transfer = Transfer(self.host, timeout_s, progress)
        await self._transfer(transfer, lambda transport: transfer.download(transport, there, here))

    async def _transfer(self, transfer: Transfer, work: Callable[[paramiko.Transport], None]) -> None:
        async with self._channels:
            for last in (False, True):
                transport = await self._connected()
                try:
                    await _in_thread(partial(work, transport), transfer.abandon)
                    break
                except ConnectionLost:
                    await _close(transport)  # as above
                    if last:
                        raise

    async def _connected(self) -> paramiko.Transport:
        async with self._connecting:
            if self._transport is not None and self._transport.is_active():
                return self._transport
            deadline = trio.current_time() + (0.0 if self._transport is None else RECONNECT_S)
            pause_s = _PAUSE_MIN_S
            while True:
                try:
                    attempt = _Attempt(self.host, self._silence_s)
                    self._transport = await _in_thread(attempt.make, attempt.abandon)
                    return self._transport
                except Unreachable:
                    if trio.current_time() + pause_s > deadline:
                        raise
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, _PAUSE_MAX_S)


class _Attempt:
    """A connection that nobody waits for any more is closed as soon as it is there."""

    def __init__(self, host: Host, silence_s: float) -> None:
        self._host = host
        self._silence_s = silence_s
        self._abandoned = False

    def make(self) -> paramiko.Transport:
        transport = connect(self._host, self._silence_s)
        if self._abandoned:
            transport.close()
        return transport

    def abandon(self) -> None:
        self._abandoned = True


async def _close(transport: paramiko.Transport) -> None:
    with trio.CancelScope(shield=True):  # its own thread ends within a tenth of a second
        await trio.to_thread.run_sync(transport.close)


async def _in_thread(work: Callable[[], T], abandon: Callable[[], None]) -> T:
    """`work` in a thread. When cancelled: `abandon`, which makes it end soon, and its end is waited for."""
    ended = trio.Event()
    token = trio.lowlevel.current_trio_token()

    def job() -> T:
        try:
            return work()
        finally:
            with suppress(trio.RunFinishedError):
                token.run_sync_soon(ended.set)

    await trio.lowlevel.checkpoint_if_cancelled()  # from here on the thread is certain to start
    try:
        # how many threads there are is bounded by the channels
        unbounded = trio.CapacityLimiter(math.inf)
        return await trio.to_thread.run_sync(job, abandon_on_cancel=True, limiter=unbounded)
    except trio.Cancelled:
        abandon()
        with trio.move_on_after(_GIVE_UP_S, shield=True):
            await ended.wait()
        raise
